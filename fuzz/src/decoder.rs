//! The body of each message: the first byte says which message it is, and how much may be asked for.

use inventory_service::contract::{
    Code, Limits, Message, MessageType, Problem, Query, ReservationKey, decode_command, decode_query,
};
use inventory_service::domain::{Command, Items, ReleaseReason};
use serde_json::{Value, json};

/// As they are by default.
const USUAL: Limits =
    Limits { body_bytes: 1_048_576, lines: 1_000, products: 1_000, quantity: 2_147_483_647 };

/// So small that short bodies come to them.
const SMALL: Limits = Limits { body_bytes: 300, lines: 2, products: 2, quantity: 5 };

/// The longest hold, in seconds.
const HOLD_SECONDS_MAX: u32 = 2_147_483_647;

/// What the decoder may say no with.
const CODES: [Code; 3] = [Code::InvalidMessage, Code::UnsupportedType, Code::MessageTooLarge];

/// A message that was understood.
#[derive(Debug, PartialEq)]
enum Understood {
    Command(Command),
    Query(Query),
}

/// All messages, in the order of the first byte.
pub(crate) fn types() -> impl ExactSizeIterator<Item = MessageType> {
    const ALL: [MessageType; 7] = [
        MessageType::ReserveInventory,
        MessageType::ReleaseInventory,
        MessageType::ConsumeInventory,
        MessageType::ExtendHold,
        MessageType::GetStockLevel,
        MessageType::GetStockLevels,
        MessageType::GetReservation,
    ];
    ALL.into_iter()
}

/// It never panics; what is accepted keeps the limits, and written down and read again it is the same; what is refused is
/// refused with a code of the contract and a sentence; and it makes no difference who the customer is.
pub fn holds(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let number = usize::from(*first) % (2 * types().len());
    let kind = types().nth(number % types().len()).expect("within the types");
    let limits = if number < types().len() { USUAL } else { SMALL };
    match read(kind, body, &limits) {
        Ok(understood) => {
            assert!(body.len() <= limits.body_bytes, "too large a body was accepted");
            assert_within(&understood, &limits);
            assert_reads_again(kind, &understood, &limits);
        }
        Err(problem) => assert_tells(&problem),
    }
    assert_knows_no_customer(kind, body, &limits);
}

fn read(kind: MessageType, body: &[u8], limits: &Limits) -> Result<Understood, Problem> {
    let message =
        Message { message_type: Some(kind.name().to_owned()), body: body.to_vec(), ..Message::default() };
    if kind.is_command() {
        decode_command(&message, limits).map(Understood::Command)
    } else {
        decode_query(&message, limits).map(Understood::Query)
    }
}

fn assert_within(understood: &Understood, limits: &Limits) {
    match understood {
        Understood::Command(Command::Reserve(reserve)) => {
            assert_items_within(Some(&reserve.items), limits);
            assert_seconds_within(reserve.hold_seconds);
        }
        Understood::Command(Command::Release(release)) => {
            assert_items_within(release.items.as_ref(), limits);
        }
        Understood::Command(Command::Consume(consume)) => {
            assert_items_within(consume.items.as_ref(), limits);
        }
        Understood::Command(Command::Extend(extend)) => assert_seconds_within(Some(extend.hold_seconds)),
        Understood::Query(query) => {
            let asked = query.products().len();
            assert!(asked <= limits.products, "{asked} products");
        }
    }
}

fn assert_items_within(items: Option<&Items>, limits: &Limits) {
    let Some(items) = items else { return };
    assert!((1..=limits.lines).contains(&items.iter().len()), "{items:?}");
    for item in items.iter() {
        assert!((1..=limits.quantity).contains(&item.quantity), "{item:?}");
    }
}

fn assert_seconds_within(seconds: Option<u32>) {
    assert!(seconds.is_none_or(|seconds| (1..=HOLD_SECONDS_MAX).contains(&seconds)), "{seconds:?}");
}

fn assert_reads_again(kind: MessageType, understood: &Understood, limits: &Limits) {
    let written = match understood {
        Understood::Command(command) => written_command(command),
        Understood::Query(query) => written_query(query),
    };
    let roomy = Limits { body_bytes: usize::MAX, ..*limits };
    let again = read(kind, written.to_string().as_bytes(), &roomy);
    assert_eq!(again.as_ref(), Ok(understood), "{written}");
}

fn written_command(command: &Command) -> Value {
    match command {
        Command::Reserve(reserve) => json!({
            "cartId": reserve.cart.0,
            "orderId": reserve.order.map(|id| id.0),
            "reservationId": reserve.reservation.map(|id| id.0),
            "holdSeconds": reserve.hold_seconds,
            "items": written_items(&reserve.items),
        }),
        Command::Release(release) => json!({
            "reservationId": release.reservation.0,
            "items": release.items.as_ref().map(written_items),
            "reason": release.reason.map(|reason| match reason {
                ReleaseReason::CheckoutFailed => "CHECKOUT_FAILED",
                ReleaseReason::OrderCancelled => "ORDER_CANCELLED",
                ReleaseReason::Expired => "EXPIRED",
            }),
        }),
        Command::Consume(consume) => json!({
            "reservationId": consume.reservation.0,
            "items": consume.items.as_ref().map(written_items),
        }),
        Command::Extend(extend) => json!({
            "reservationId": extend.reservation.0,
            "holdSeconds": extend.hold_seconds,
        }),
    }
}

fn written_items(items: &Items) -> Vec<Value> {
    items.iter().map(|item| json!({ "productId": item.product.0, "quantity": item.quantity })).collect()
}

fn written_query(query: &Query) -> Value {
    match query {
        Query::StockLevel(product) => json!({ "productId": product.0 }),
        Query::StockLevels(products) => {
            json!({ "productIds": products.iter().map(|id| id.0).collect::<Vec<_>>() })
        }
        Query::Reservation(ReservationKey::Reservation(id)) => json!({ "reservationId": id.0 }),
        Query::Reservation(ReservationKey::Cart(id)) => json!({ "cartId": id.0 }),
        Query::Reservation(ReservationKey::Order(id)) => json!({ "orderId": id.0 }),
    }
}

/// Demands that a refusal can be told.
pub(crate) fn assert_tells(problem: &Problem) {
    assert!(CODES.contains(&problem.code), "{problem:?}");
    assert!(problem.code.is_dead_letter(), "{problem:?}");
    assert_eq!(Code::from_name(problem.code.name()), Some(problem.code));
    assert!((1..=500).contains(&problem.detail.len()), "{problem:?}");
    let told: Value = serde_json::from_slice(&problem.to_json()).expect("a problem is JSON");
    assert_eq!(
        (&told["code"], &told["status"]),
        (&json!(problem.code.name()), &json!(problem.code.status()))
    );
    assert_eq!(told["detail"], json!(problem.detail));
}

/// Puts customers into the body: what comes of it is the same with each of them.
fn assert_knows_no_customer(kind: MessageType, body: &[u8], limits: &Limits) {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else { return };
    let mut with = |customer: &str| {
        fields.insert("customerId".to_owned(), json!(customer));
        read(kind, json!(fields).to_string().as_bytes(), limits)
    };
    let anybody = with("00000000-0000-4000-8000-000000000000");
    assert_eq!(with("fade0ff5-cafe-4bad-8ace-0ddba11fab1e"), anybody);
    // No UUID, and made to be taken for what was expected.
    let nobody = with("expected Zimt und Zucker");
    assert_eq!(with("expected Paul and Paula!"), nobody);
}
