//! Where answers may go (contract section 3).

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
        queue.starts_with(DIRECT_REPLY_TO)
            || !self.own_queues.iter().any(|own| own == queue)
                && self.allow.iter().any(|pattern| matches(pattern, queue))
    }
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
        assert!(policy.permits("amq.rabbitmq.reply-to.g1h2"));
    }

    #[test]
    fn direct_reply_to_needs_no_pattern() {
        let policy = ReplyToPolicy::new(Vec::new(), Vec::new());
        assert!(policy.permits("amq.rabbitmq.reply-to.g1h2"));
        assert!(!policy.permits("amq.gen-1"));
    }
}
