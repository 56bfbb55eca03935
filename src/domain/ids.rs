//! Identifiers that cannot be taken for one another.

use std::fmt;

use uuid::Uuid;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identifier!(
    /// A product, as the catalogue knows it.
    ProductId
);
identifier!(
    /// A shopping cart: at most one live hold each (contract 4.3).
    CartId
);
identifier!(
    /// The order that a cart became.
    OrderId
);
identifier!(
    /// A reservation; chosen by the sender of the reserve or made by the service.
    ReservationId
);
