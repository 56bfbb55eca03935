//! What is published, and its properties.

use std::sync::Arc;

use lapin::BasicProperties;
use lapin::types::ShortString;

use super::properties::{of_answer, short};
use crate::batch::{Event, Reply};
use crate::contract::{Answer, Causation};

/// Something to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    /// An event or a reply, and what it takes over.
    Answer(Arc<Answer>, Arc<Causation>),
    /// A dead letter, which must reach a queue.
    Letter(Box<BasicProperties>, Vec<u8>),
}

impl Publication {
    /// An event, for whoever subscribed to it. Nothing for an answer that is no event.
    #[must_use]
    pub fn event(exchange: &str, event: &Event) -> Option<Self> {
        let Event { answer, causation } = event;
        Some(Self {
            exchange: short(exchange).unwrap_or_default(),
            routing_key: answer.event?.routing_key().into(),
            content: Content::Answer(Arc::clone(answer), Arc::clone(causation)),
        })
    }

    /// A reply, through the default exchange. Nothing where the queue has a name that no queue can have.
    #[must_use]
    pub fn reply(reply: Reply) -> Option<Self> {
        Some(Self {
            exchange: ShortString::default(),
            routing_key: short(&reply.to)?,
            content: Content::Answer(reply.answer, reply.causation),
        })
    }

    /// Made only when they are needed: they are larger than what they are made of, and thousands may wait.
    #[must_use]
    pub fn properties(&self) -> BasicProperties {
        match &self.content {
            Content::Answer(answer, causation) => of_answer(answer, causation),
            Content::Letter(properties, _) => BasicProperties::clone(properties),
        }
    }

    /// Whether it must reach a queue.
    pub(super) fn is_mandatory(&self) -> bool {
        matches!(self.content, Content::Letter(..))
    }

    pub(super) fn body(&self) -> &[u8] {
        match &self.content {
            Content::Answer(answer, _) => &answer.body,
            Content::Letter(_, body) => body,
        }
    }
}
