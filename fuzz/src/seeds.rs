//! What the fuzzer begins with: made of the examples of the published schemas and of the defaults.

use inventory_service::config::DEFAULTS;
use inventory_service::contract::MessageType;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable};
use serde_json::Value;

use super::{decoder, envelope, settings};

/// The schema of a message.
fn schema(kind: MessageType) -> &'static str {
    match kind {
        MessageType::ReserveInventory => include_str!("../../schemas/reserve-inventory.json"),
        MessageType::ReleaseInventory => include_str!("../../schemas/release-inventory.json"),
        MessageType::ConsumeInventory => include_str!("../../schemas/consume-inventory.json"),
        MessageType::ExtendHold => include_str!("../../schemas/extend-hold.json"),
        MessageType::GetStockLevel => include_str!("../../schemas/get-stock-level-request.json"),
        MessageType::GetStockLevels => include_str!("../../schemas/get-stock-levels-request.json"),
        MessageType::GetReservation => include_str!("../../schemas/get-reservation-request.json"),
    }
}

fn examples(kind: MessageType) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema(kind)).expect("a schema is JSON");
    schema["examples"].as_array().into_iter().flatten().map(Value::to_string).collect()
}

/// Each example as its message, with the usual limits and with small ones.
#[must_use]
pub fn decoder() -> Vec<Vec<u8>> {
    let count = decoder::types().len();
    let mut seeds = Vec::new();
    for (number, kind) in decoder::types().enumerate() {
        for example in examples(kind) {
            for first in [number, number + count] {
                let first = u8::try_from(first).expect("there are few types");
                seeds.push([&[first], example.as_bytes()].concat());
            }
        }
    }
    seeds
}

/// Messages with hardly any property, and with all that there are.
#[must_use]
pub fn envelope() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in decoder::types() {
        let bare = BasicProperties::default().with_type(kind.name().into());
        let overloaded = all_properties().with_type(kind.name().into()).with_headers(all_headers());
        for example in examples(kind) {
            for properties in [&bare, &overloaded] {
                seeds.push([&envelope::written(properties), example.as_bytes()].concat());
            }
        }
    }
    seeds
}

fn all_properties() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("identity".into())
        .with_delivery_mode(2)
        .with_priority(5)
        .with_correlation_id("invoice 4711".into())
        .with_reply_to("checkout.replies".into())
        .with_expiration("60000".into())
        .with_message_id("7b9c".into())
        .with_timestamp(1_700_000_000)
        .with_user_id("checkout".into())
        .with_app_id("checkout".into())
        .with_cluster_id("theirs".into())
}

fn all_headers() -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Boolean(true)])));
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("traceparent", text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        ("tracestate", text("vendor=1")),
        ("CC", AMQPValue::FieldArray(FieldArray::from(vec![text("elsewhere")]))),
        ("BCC", AMQPValue::FieldArray(FieldArray::from(vec![text("elsewhere")]))),
        ("x-error-code", text("forged")),
        ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
        ("tiny", AMQPValue::ShortShortInt(-1)),
        ("byte", AMQPValue::ShortShortUInt(255)),
        ("short", AMQPValue::ShortInt(-2)),
        ("word", AMQPValue::ShortUInt(2)),
        ("int", AMQPValue::LongInt(-5)),
        ("natural", AMQPValue::LongUInt(5)),
        ("long", AMQPValue::LongLongInt(1 << 40)),
        ("float", AMQPValue::Float(0.5)),
        ("double", AMQPValue::Double(1.5)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 1234 })),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        ("void", AMQPValue::Void),
        ("table", AMQPValue::FieldTable(inner)),
    ] {
        headers.insert(name.into(), value);
    }
    headers
}

/// The defaults as a file, each of them as a variable, and a password where URLs are.
#[must_use]
pub fn settings() -> Vec<Vec<u8>> {
    let variable = |setting: &str| format!("INVENTORY__{}", setting.replace('.', "__").to_uppercase());
    let secret = settings::SECRET;
    let mut seeds = vec![
        DEFAULTS.to_owned(),
        format!("[database]\nurl = \"postgres://inventory:{secret}@127.0.0.1/inventory\"\n"),
        format!("\0DATABASE_URL=mysql://inventory:{secret}@127.0.0.1\0AMQP_URL={secret}"),
        "[batch\ncommands = 1".to_owned(),
        format!("\0{}=a, b", variable("amqp.reply_to_allow")),
    ];
    for (setting, default) in settings::defaults() {
        let text = default.as_str().map_or_else(|| default.to_string(), ToOwned::to_owned);
        seeds.push(format!("\0{}={text}", variable(&setting)));
        seeds.push(format!("{setting} = {default}\n"));
    }
    seeds.into_iter().map(String::into_bytes).collect()
}
