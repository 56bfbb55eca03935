//! How much may be asked for at once, to the unit.

use inventory_service::contract::{Code, Limits, decode_query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    CART, INBOUND, LIMITS, OF_PARTS, PRODUCT, decode, full_reserve, invalid_reserve, message, refused,
    reserve_with,
};

#[test]
fn the_limits_themselves_are_allowed() {
    let largest = json!({ "productId": PRODUCT, "quantity": 2_147_483_647_u64 });
    let line = |number: u128| json!({ "productId": Uuid::from_u128(number), "quantity": 1 });
    let full: Vec<Value> = (0..1_000).map(line).collect();
    for items in [json!([largest]), json!(full)] {
        let body = json!({ "cartId": CART, "items": items, "holdSeconds": 2_147_483_647_u64 });
        assert_eq!(decode("ReserveInventory", body.to_string()), Ok(()));
    }
    let mut padded = full_reserve().to_string();
    padded.extend(std::iter::repeat_n(' ', LIMITS.body_bytes - padded.len()));
    assert_eq!(decode("ReserveInventory", padded), Ok(()));
}

#[test]
fn what_is_over_a_limit_is_refused() {
    let line = format!("{{\"productId\":{PRODUCT:?},\"quantity\":1}}");
    let lines = |count: usize| format!("[{}]", vec![line.as_str(); count].join(","));
    let most = format!("{{\"productId\":{PRODUCT:?},\"quantity\":2147483647}}");
    let largest = u64::MAX.to_string();
    invalid_reserve(reserve_with("/items", "[]"), "items is empty");
    invalid_reserve(reserve_with("/items", &lines(1_001)), "items has 1001 lines, the limit is 1000");
    for quantity in ["2147483648", "4294967297", "9007199254740991.0", largest.as_str()] {
        invalid_reserve(reserve_with("/items/0/quantity", quantity), "over the limit of 2147483647");
    }
    invalid_reserve(reserve_with("/items", &format!("[{most},{line}]")), "over the limit of 2147483647");
    invalid_reserve(
        reserve_with("/items", &format!("[{most},{most},{most}]")),
        "over the limit of 2147483647",
    );
    for seconds in ["2147483648", "4294967296", largest.as_str()] {
        invalid_reserve(reserve_with("/holdSeconds", seconds), "holdSeconds is over the limit of 2147483647");
    }
    for (name, _) in INBOUND {
        let large = vec![b' '; LIMITS.body_bytes + 1];
        refused(name, large, Code::MessageTooLarge, "has 1048577 bytes, the limit is 1048576");
    }
}

fn part_of(lines: &[Value]) -> String {
    json!({ "reservationId": CART, "items": lines }).to_string()
}

#[test]
fn a_part_has_the_limits_of_a_cart() {
    let line = |quantity: u64| json!({ "productId": PRODUCT, "quantity": quantity });
    for name in OF_PARTS {
        for lines in [vec![line(2_147_483_647)], vec![line(1); 1_000]] {
            assert_eq!(decode(name, part_of(&lines)), Ok(()));
        }
        for (lines, said) in [
            (vec![], "items is empty"),
            (vec![line(1); 1_001], "items has 1001 lines, the limit is 1000"),
            (vec![line(2_147_483_648)], "over the limit of 2147483647"),
            (vec![line(2_147_483_647), line(1)], "over the limit of 2147483647"),
        ] {
            refused(name, part_of(&lines), Code::InvalidMessage, said);
        }
    }
}

#[test]
fn an_extension_ends_before_the_calendar_does() {
    for seconds in ["2147483648", "4294967296", "18446744073709551615"] {
        let body = format!("{{\"reservationId\": {CART:?}, \"holdSeconds\": {seconds}}}");
        refused("ExtendHold", body, Code::InvalidMessage, "holdSeconds is over the limit of 2147483647");
    }
}

#[test]
fn so_many_products_may_be_asked_for_at_once() {
    let body = |count: u128| {
        let products: Vec<Uuid> = (0..count).map(Uuid::from_u128).collect();
        json!({ "productIds": products }).to_string()
    };
    assert_eq!(decode("GetStockLevels", body(1)), Ok(()));
    assert_eq!(decode("GetStockLevels", body(1_000)), Ok(()));
    for (count, said) in [(0, "has 0 products"), (1_001, "has 1001 products; ask for 1 to 1000")] {
        refused("GetStockLevels", body(count), Code::InvalidMessage, said);
    }
    // The same one twice is asked for twice.
    let twice = json!({ "productIds": [PRODUCT, PRODUCT] }).to_string();
    let one = Limits { products: 1, ..LIMITS };
    let code = decode_query(&message("GetStockLevels", twice), &one).map_err(|problem| problem.code);
    assert_eq!(code, Err(Code::InvalidMessage));
}
