//! Identifiers. The data set names things in its own way; the service wants UUIDs.
//!
//! Products and customers are the same in every run, so their ids are UUIDs of version 5, which anyone can
//! compute again. In Python:
//!
//! ```python
//! uuid.uuid5(uuid.NAMESPACE_URL, "https://doi.org/10.24432/C5BW33#product/85123A")
//! ```
//!
//! Carts are new in every run.

use uuid::Uuid;

const DATA_SET: &str = "https://doi.org/10.24432/C5BW33";

fn id(path: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{DATA_SET}#{path}").as_bytes())
}

pub fn product(stock_code: &str) -> Uuid {
    id(&format!("product/{stock_code}"))
}

pub fn customer(customer_id: &str) -> Uuid {
    id(&format!("customer/{customer_id}"))
}

/// One play of the data: its carts and orders are its own.
#[derive(Debug, Clone, Copy)]
pub struct Run(Uuid);

impl Run {
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    pub fn id(self) -> Uuid {
        self.0
    }

    pub fn cart(self, invoice_no: &str) -> Uuid {
        id(&format!("run/{}/cart/{invoice_no}", self.0))
    }

    pub fn order(self, invoice_no: &str) -> Uuid {
        id(&format!("run/{}/order/{invoice_no}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_the_same_id_everywhere() {
        let computed_with_python = "97ebab52-555b-53ec-bda9-44fb686333bf";
        assert_eq!(product("85123A").to_string(), computed_with_python);
    }

    #[test]
    fn every_run_plays_new_carts() {
        assert_ne!(Run::new().cart("536365"), Run::new().cart("536365"));
    }
}
