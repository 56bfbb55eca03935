//! Who logs in, and with which password. What goes to a server, and perhaps into its log, is only what it needs to know
//! the password again.

use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::{hmac, pbkdf2};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ProvisionError;

/// As PostgreSQL has it by default (`scram_iterations`).
const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// Bytes of salt that RabbitMQ puts before a hash.
const RABBITMQ_SALT_BYTES: usize = 4;

/// A user of one of the servers.
pub struct Login {
    user: String,
    password: String,
    is_given: bool,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    /// With the password that is given in the environment, or else a new one of 244 random bits.
    pub(super) fn new(user: String) -> Result<Self, ProvisionError> {
        let variable = variable(&user);
        let given = std::env::var(&variable).ok().filter(|password| !password.is_empty());
        // Other characters would have to be normalized as SASLprep has it, and escaped in a URL.
        let is_usable = |password: &String| {
            (12..=128).contains(&password.len()) && password.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match given {
            Some(password) if is_usable(&password) => Ok(Self { user, password, is_given: true }),
            Some(_) => Err(ProvisionError::Password(variable)),
            None => {
                let password = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
                Ok(Self { user, password, is_given: false })
            }
        }
    }

    /// The name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the password is given in the environment.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.is_given
    }

    /// The password. Not for logs.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The variable that the password is given in, such as `INVENTORY_APP_PASSWORD`.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(&self.user)
    }

    /// What PostgreSQL keeps: RFC 5803.
    pub(super) fn scram_verifier(&self) -> String {
        let salt = *Uuid::new_v4().as_bytes();
        let mut salted = [0; 32];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, SCRAM_ITERATIONS, &salt, self.password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let stored_key = Sha256::digest(hmac::sign(&salted, b"Client Key"));
        let server_key = hmac::sign(&salted, b"Server Key");
        let [salt, stored_key, server_key] =
            [&salt[..], &stored_key[..], server_key.as_ref()].map(|bytes| BASE64_STANDARD.encode(bytes));
        format!("SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt}${stored_key}:{server_key}")
    }

    /// What RabbitMQ keeps: <https://www.rabbitmq.com/docs/passwords#computing-password-hash>.
    pub(super) fn rabbitmq_hash(&self) -> String {
        let random = *Uuid::new_v4().as_bytes();
        let salt = &random[..RABBITMQ_SALT_BYTES];
        let hash = Sha256::digest([salt, self.password.as_bytes()].concat());
        BASE64_STANDARD.encode([salt, &hash].concat())
    }
}

fn variable(user: &str) -> String {
    format!("{}_PASSWORD", user.to_uppercase().replace('-', "_"))
}
