//! Where answers may go (contract section 3).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Code, Message, Problem};

/// Names that RabbitMQ gives to a client that uses direct reply-to, see <https://www.rabbitmq.com/docs/direct-reply-to>.
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to.";

/// Which queues answers are sent to.
#[derive(Debug, Clone)]
pub struct ReplyToPolicy {
    /// Patterns in which `*` stands for any characters.
    allow: Vec<String>,
    /// The queues of the service itself: an answer there would come back as a command.
    own_queues: Vec<String>,
}

impl ReplyToPolicy {
    /// Allows what a pattern matches, but never the service's own queues.
    #[must_use]
    pub fn new(allow: Vec<String>, own_queues: Vec<String>) -> Self {
        Self { allow, own_queues }
    }

    /// The queue that answers to this message go to, where it names one.
    pub fn check<'a>(&self, message: &'a Message) -> Result<Option<&'a str>, Problem> {
        match message.reply_to.as_deref() {
            Some(queue) if !self.permits(queue) => Err(Problem::new(
                Code::ReplyToRefused,
                "reply_to names a queue that answers are not sent to; use direct reply-to or a queue of your own.",
            )),
            permitted => Ok(permitted),
        }
    }

    fn permits(&self, queue: &str) -> bool {
        match queue.strip_prefix(DIRECT_REPLY_TO) {
            Some(address) => is_direct_address(address),
            None => {
                !self.own_queues.iter().any(|own| own == queue)
                    && self.allow.iter().any(|pattern| matches(pattern, queue))
            }
        }
    }
}

/// Whether RabbitMQ can have made the address of a client that uses direct reply-to: an Erlang process id in base64, a dot,
/// a key. RabbitMQ does not look before it reads a made-up one, and then closes the connection of whoever publishes there:
/// everybody else's answers would be lost with it.
fn is_direct_address(address: &str) -> bool {
    let Some((process, key)) = address.split_once('.') else { return false };
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    !key.is_empty() && key.bytes().all(is_key) && BASE64.decode(process).is_ok_and(|id| is_process_id(&id))
}

/// With or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether it is `NEW_PID_EXT` or `PID_EXT` of <https://www.erlang.org/doc/apps/erts/erl_ext_dist.html>, on a node that is
/// called `name@number`: RabbitMQ puts a hash in the place of the host, and reads names in UTF-8 only.
fn is_process_id(term: &[u8]) -> bool {
    const VERSION: u8 = 131;
    let (behind_node, atom) = match term {
        [VERSION, 88, atom @ ..] => (12, atom),
        [VERSION, 103, atom @ ..] => (9, atom),
        _ => return false,
    };
    let (length, rest) = match atom {
        [118, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [119, length, rest @ ..] => (usize::from(*length), rest),
        _ => return false,
    };
    let Some((node, rest)) = rest.split_at_checked(length) else { return false };
    let mut parts = node.splitn(2, |byte| *byte == b'@');
    let name = parts.next().unwrap_or_default();
    let number = parts.next().unwrap_or_default();
    rest.len() == behind_node
        && !name.is_empty()
        && !number.is_empty()
        && number.iter().all(u8::is_ascii_digit)
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(prefix) else { return false };
    let Some((rest, suffix)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    let Some(mut middle) = name.strip_suffix(suffix) else { return false };
    // Leftmost matches leave the most room for what follows.
    rest.split('*').all(|part| match middle.split_once(part) {
        Some((_, behind)) => {
            middle = behind;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("*", "anything", true),
            ("*", "", true),
            ("checkout.*", "checkout.replies", true),
            ("checkout.*", "other.checkout.replies", false),
            ("*.replies", "checkout.replies", true),
            ("*.replies", "checkout.replies.1", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*b*b", "ab", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn own_queues_are_refused_whatever_is_allowed() {
        let policy = ReplyToPolicy::new(vec!["*".into()], vec!["inventory.commands".into()]);
        assert!(!policy.permits("inventory.commands"));
        assert!(policy.permits("inventory.commands.replies"));
    }

    #[test]
    fn direct_reply_to_needs_no_pattern() {
        let policy = ReplyToPolicy::new(Vec::new(), Vec::new());
        assert!(policy.permits(&direct(&process_id("reply@66856218"))));
        assert!(!policy.permits("amq.gen-1"));
    }

    /// As RabbitMQ 3.10 makes them.
    fn direct(process_id: &[u8]) -> String {
        format!("{DIRECT_REPLY_TO}{}.T7ER8LxvSgmFbdLM5W4eYw==", BASE64.encode(process_id))
    }

    fn process_id(node: &str) -> Vec<u8> {
        let length = u8::try_from(node.len()).unwrap_or_default();
        [&[131, 88, 119, length], node.as_bytes(), &[0; 12]].concat()
    }

    #[test]
    fn an_address_that_rabbitmq_cannot_have_made_is_refused() {
        let policy = ReplyToPolicy::new(vec!["*".into()], Vec::new());
        let good = process_id("reply@66856218");
        for bad in [
            direct(b""),
            direct(&good[..good.len() - 1]),
            direct(&[&good[..], &[0]].concat()),
            direct(&process_id("reply@localhost")),
            direct(&process_id("reply")),
            direct(&process_id("@1")),
            // A list, which RabbitMQ would read as well.
            direct(&[131, 106]),
            direct(&good).replace("==", "=.="),
            direct(&good).replace("T7ER8", "T7\0R8"),
            format!("{DIRECT_REPLY_TO}g1h2"),
            DIRECT_REPLY_TO.to_owned(),
        ] {
            assert!(!policy.permits(&bad), "{bad}");
        }
        assert!(policy.permits(&direct(&good)));
        assert!(policy.permits(&direct(&good).replace('=', "")), "without padding");
    }
}
