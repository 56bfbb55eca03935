//! What the schemas show is read, with all that is in it.

use inventory_service::contract::{Code, Message, Query, ReservationKey, decode_command, decode_query};
use inventory_service::domain::{
    CartId, Command, Consume, Extend, Item, Items, OrderId, ProductId, Release, ReleaseReason, ReservationId,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    CART, INBOUND, LIMITS, PRODUCT, all_examples, command, decode, examples, full_reserve, is_query, message,
    query, reserve, schema, validator,
};

#[test]
fn schemas_are_draft_07_and_describe_their_examples() {
    for (name, file, example) in all_examples() {
        assert_eq!(schema(file)["$schema"], "http://json-schema.org/draft-07/schema#", "{file}");
        let errors: Vec<String> = validator(file).iter_errors(&example).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name} {example}: {errors:?}");
    }
}

#[test]
fn every_example_of_a_schema_is_read() {
    for (name, _, example) in all_examples() {
        assert_eq!(decode(name, example.to_string()), Ok(()), "{name} {example}");
    }
}

#[test]
fn every_field_of_a_reserve_is_read() {
    let reserve = reserve(&full_reserve());
    let id = |text: Option<Uuid>| text.map(|id| id.to_string()).unwrap_or_default();
    assert_eq!(reserve.cart.to_string(), CART);
    assert_eq!(id(reserve.order.map(|id| id.0)), "b84d7e10-52f6-4c3a-8e91-0d6a9c4f7b25");
    assert_eq!(id(reserve.reservation.map(|id| id.0)), "01938153-995c-7c80-9d35-e6a1740f2b98");
    assert_eq!(reserve.hold_seconds, Some(900));
    let items: Vec<_> = reserve.items.iter().map(|i| (i.product.to_string(), i.quantity)).collect();
    assert_eq!(items, [(PRODUCT.to_owned(), 2)]);
}

#[test]
fn the_customer_is_checked_and_forgotten() {
    let mut without = full_reserve();
    without["customerId"].take();
    assert_eq!(reserve(&full_reserve()), reserve(&without));
}

#[test]
fn unknown_fields_are_ignored_at_every_level() {
    let mut body = full_reserve();
    body["giftWrap"] = json!({ "paper": ["red", null, 1.5e300], "cartId": 7 });
    body["items"][0]["engraving"] = json!([["for", "you"]]);
    body["CartId"] = json!("another name, because names have a case");
    assert_eq!(reserve(&body), reserve(&full_reserve()));
}

#[test]
fn an_integer_may_be_written_with_a_fraction_of_zero() {
    for quantity in ["2", "2.0", "2e0", "0.2e1", "20E-1"] {
        let body = full_reserve().to_string().replace("\"quantity\":2", &format!("\"quantity\":{quantity}"));
        let decoded = decode_command(&message("ReserveInventory", body.clone()), &LIMITS);
        assert_eq!(decoded, Ok(Command::Reserve(reserve(&full_reserve()))), "{body}");
    }
}

fn reservation() -> ReservationId {
    ReservationId(Uuid::from_u128(7))
}

#[test]
fn every_reason_of_a_release_is_read() {
    let release =
        |reason| command("ReleaseInventory", &json!({ "reservationId": reservation().0, "reason": reason }));
    for (name, reason) in [
        ("CHECKOUT_FAILED", ReleaseReason::CheckoutFailed),
        ("ORDER_CANCELLED", ReleaseReason::OrderCancelled),
        ("EXPIRED", ReleaseReason::Expired),
    ] {
        let expected = Release { reservation: reservation(), items: None, reason: Some(reason) };
        assert_eq!(release(name), Command::Release(expected));
    }
}

/// Lines and what they come to.
fn lines_of_a_part() -> (Value, Items) {
    let [a, b] = [1, 2].map(Uuid::from_u128);
    let line = |product: Uuid, quantity: u64| json!({ "productId": product, "quantity": quantity });
    let item = |product: Uuid, quantity: u64| Item { product: ProductId(product), quantity };
    (json!([line(b, 1), line(a, 2), line(b, 3)]), Items::add_up([item(b, 4), item(a, 2)]))
}

#[test]
fn a_part_is_read_and_its_lines_are_added_up() {
    let (lines, items) = lines_of_a_part();
    let body = json!({ "reservationId": reservation().0, "items": lines });
    let (reservation, items) = (reservation(), Some(items));
    let release = Release { reservation, items: items.clone(), reason: None };
    assert_eq!(command("ReleaseInventory", &body), Command::Release(release));
    assert_eq!(command("ConsumeInventory", &body), Command::Consume(Consume { reservation, items }));
}

#[test]
fn without_items_it_is_all_that_is_held() {
    for body in [
        json!({ "reservationId": reservation().0 }),
        json!({ "reservationId": reservation().0, "items": null }),
    ] {
        let consume = Consume { reservation: reservation(), items: None };
        assert_eq!(command("ConsumeInventory", &body), Command::Consume(consume));
        let release = Release { reservation: reservation(), items: None, reason: None };
        assert_eq!(command("ReleaseInventory", &body), Command::Release(release));
    }
}

#[test]
fn the_seconds_of_an_extension_are_read() {
    for (seconds, hold_seconds) in [(json!(1), 1), (json!(90.0), 90), (json!(2_147_483_647), 2_147_483_647)] {
        let body = json!({ "reservationId": reservation().0, "holdSeconds": seconds });
        let extend = Extend { reservation: reservation(), hold_seconds };
        assert_eq!(command("ExtendHold", &body), Command::Extend(extend));
    }
}

#[test]
fn a_reservation_is_asked_for_by_one_of_its_keys() {
    let id = Uuid::from_u128(0x0e5b_94f2_7a3d_4c18_a6e0_d82f_61b7_c935);
    for (field, key) in [
        ("reservationId", ReservationKey::Reservation(ReservationId(id))),
        ("cartId", ReservationKey::Cart(CartId(id))),
        ("orderId", ReservationKey::Order(OrderId(id))),
    ] {
        let mut body = json!({ "reservationId": null, "cartId": null, "orderId": null, "of": "whom" });
        body[field] = json!(id.to_string().to_uppercase());
        assert_eq!(query("GetReservation", &body), Query::Reservation(key));
    }
}

#[test]
fn products_are_asked_for_in_their_order_and_as_often_as_named() {
    let products = [3, 1, 2, 1].map(Uuid::from_u128);
    let expected = Query::StockLevels(products.map(ProductId).to_vec());
    assert_eq!(query("GetStockLevels", &json!({ "productIds": products })), expected);
}

#[test]
fn a_uuid_is_read_in_any_case_as_the_same() {
    let query = |id: &str| query("GetStockLevel", &json!({ "productId": id }));
    let lower = query("0e5b94f2-7a3d-4c18-a6e0-d82f61b7c935");
    assert_eq!(query("0E5B94F2-7A3D-4C18-A6E0-D82F61B7C935"), lower);
    assert_eq!(query("0e5B94f2-7A3D-4C18-a6E0-d82F61b7C935"), lower);
    let product = ProductId(Uuid::from_u128(0x0e5b_94f2_7a3d_4c18_a6e0_d82f_61b7_c935));
    assert_eq!(lower, Query::StockLevel(product));
}

#[test]
fn where_the_type_is_missing_the_routing_key_decides() {
    for (name, file) in INBOUND {
        let routing_key = file.trim_end_matches(".json").trim_end_matches("-request");
        let body = examples(file)[0].to_string().into_bytes();
        let message = Message { routing_key: routing_key.to_owned(), body, ..Message::default() };
        let decode = |message: &Message| {
            if is_query(name) {
                decode_query(message, &LIMITS).map(|_| ())
            } else {
                decode_command(message, &LIMITS).map(|_| ())
            }
        };
        assert_eq!(decode(&message), Ok(()), "{routing_key}");
        let with_another_type = Message { message_type: Some(format!("{name}2")), ..message };
        let code = decode(&with_another_type).map_err(|problem| problem.code);
        assert_eq!(code, Err(Code::UnsupportedType), "the type decides, where there is one");
    }
}
