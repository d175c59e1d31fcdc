//! An order and what it comes to. Amounts are whole numbers of the currency's smallest unit.

use std::fmt;

use jiff::Timestamp;
use kairos::ExecutionId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// From this subtotal on there is a discount for quantity.
const LARGE: u64 = 1_000_000;
/// From this total on an order is urgent, whoever it is from.
const URGENT: u64 = 5_000_000;

/// An order, as a process asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Order {
    /// The execution that places it: the order's own id.
    #[serde(rename = "IdEjecucion")]
    pub execution_id: ExecutionId,
    /// When it is due.
    #[serde(rename = "FechaProgramada")]
    pub scheduled_time: Timestamp,
    /// Who orders.
    #[serde(rename = "Cliente")]
    pub customer: String,
    /// What kind of customer that is.
    #[serde(rename = "Nivel", default)]
    pub tier: Tier,
    /// What is ordered.
    #[serde(rename = "Lineas")]
    pub lines: Vec<Line>,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// What.
    #[serde(rename = "Producto")]
    pub product: String,
    /// How many, 1 at least.
    #[serde(rename = "Cantidad")]
    pub quantity: u64,
    /// For how much each.
    #[serde(rename = "PrecioUnitario")]
    pub unit_price: u64,
}

/// A kind of customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// No discount.
    #[default]
    #[serde(rename = "estandar")]
    Standard,
    /// 5 %.
    #[serde(rename = "plata")]
    Silver,
    /// 10 %, and urgent.
    #[serde(rename = "oro")]
    Gold,
}

/// How soon an order is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Priority {
    /// First.
    #[serde(rename = "alta")]
    High,
    /// Then.
    #[serde(rename = "media")]
    Medium,
    /// Last.
    #[serde(rename = "baja")]
    Low,
}

/// What an order comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced<'o> {
    /// The order.
    pub order: &'o Order,
    /// All lines.
    pub subtotal: u64,
    /// What is taken off, rounded down.
    pub discount: u64,
    /// What is left.
    pub total: u64,
    /// How soon it is to be served.
    pub priority: Priority,
}

/// Why something is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the order cannot be taken: {}", self.0)
    }
}

impl std::error::Error for Refusal {}

impl Order {
    /// The order that a payload holds.
    ///
    /// # Errors
    /// If it holds none: what is missing or wrong, and where.
    pub fn read(payload: &Value) -> Result<Self, Refusal> {
        if let Some(text) = payload["IdEjecucion"].as_str().filter(|text| text.starts_with("<kairos.")) {
            return Err(Refusal(format!("IdEjecucion is still '{text}': only Kairos fills in placeholders")));
        }
        let order: Self = serde_path_to_error::deserialize(payload).map_err(|error| Refusal(error.to_string()))?;
        if order.customer.is_empty() {
            return Err(Refusal("Cliente is empty".into()));
        }
        if order.lines.is_empty() {
            return Err(Refusal("Lineas is empty".into()));
        }
        if let Some(at) = order.lines.iter().position(|line| line.quantity == 0) {
            return Err(Refusal(format!("Lineas[{at}].Cantidad is 0")));
        }
        Ok(order)
    }

    /// What it comes to.
    ///
    /// # Errors
    /// If that is more than can be counted.
    pub fn priced(&self) -> Result<Priced<'_>, Refusal> {
        let mut lines = self.lines.iter().map(|line| line.quantity.checked_mul(line.unit_price));
        let subtotal = lines.try_fold(0u64, |sum, line| sum.checked_add(line?));
        let percent = self.tier.percent() + if subtotal >= Some(LARGE) { 5 } else { 0 };
        let taken_off = |subtotal: u64| Some((subtotal, subtotal.checked_mul(percent)? / 100));
        let (subtotal, discount) =
            subtotal.and_then(taken_off).ok_or_else(|| Refusal("Lineas come to more than can be counted".into()))?;
        let total = subtotal - discount;
        let priority = match total {
            _ if self.tier == Tier::Gold => Priority::High,
            URGENT.. => Priority::High,
            LARGE.. => Priority::Medium,
            _ => Priority::Low,
        };
        Ok(Priced { order: self, subtotal, discount, total, priority })
    }
}

impl Tier {
    fn percent(self) -> u64 {
        match self {
            Self::Standard => 0,
            Self::Silver => 5,
            Self::Gold => 10,
        }
    }
}

impl Priority {
    /// As it is stored and answered.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "alta",
            Self::Medium => "media",
            Self::Low => "baja",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(tier: &str, lines: &[(u64, u64)]) -> Value {
        let line =
            |(quantity, price): &(u64, u64)| json!({"Producto": "x", "Cantidad": quantity, "PrecioUnitario": price});
        json!({
            "IdEjecucion": "ccfc2443-088b-5aaa-a43f-145cc331b5b2", "FechaProgramada": "2026-01-05T12:00:00Z",
            "Cliente": "ferreteria-sur", "Nivel": tier, "Lineas": lines.iter().map(line).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn an_order_is_priced_by_tier_and_size() {
        let cases = [
            ("estandar", &[(1, 999_999)][..], (999_999, 0, Priority::Low)),
            ("estandar", &[(1, 400_000), (2, 300_000)], (1_000_000, 50_000, Priority::Low)),
            ("plata", &[(1, 2_000_000)], (2_000_000, 200_000, Priority::Medium)),
            ("estandar", &[(1, 5_263_158)], (5_263_158, 263_157, Priority::High)),
            ("oro", &[(3, 33)], (99, 9, Priority::High)),
            ("plata", &[(1, 0)], (0, 0, Priority::Low)),
        ];
        for (tier, lines, (subtotal, discount, priority)) in cases {
            let order = Order::read(&payload(tier, lines)).unwrap();
            let priced = order.priced().unwrap();
            let expected = Priced { order: &order, subtotal, discount, total: subtotal - discount, priority };
            assert_eq!(priced, expected, "{tier} {lines:?}");
        }
    }

    #[test]
    fn what_is_no_order_is_refused_with_the_reason() {
        let with = |key: &str, value: Value| {
            let mut payload = payload("oro", &[(1, 1)]);
            payload[key] = value;
            payload
        };
        for (payload, reason) in [
            (json!("hola"), "invalid type"),
            (json!({}), "missing field `IdEjecucion`"),
            (with("IdEjecucion", json!("<kairos.execution-id>")), "only Kairos fills in placeholders"),
            (with("IdEjecucion", json!("7")), "IdEjecucion: UUID parsing failed: invalid length"),
            (with("Nivel", json!("diamante")), "Nivel: unknown variant `diamante`"),
            (with("Cliente", json!("")), "Cliente is empty"),
            (with("Lineas", json!([])), "Lineas is empty"),
            (payload("oro", &[(1, 1), (0, 1)]), "Lineas[1].Cantidad is 0"),
            (
                with("Lineas", json!([{"Producto": "x", "Cantidad": -1, "PrecioUnitario": 1}])),
                "Lineas[0].Cantidad: invalid value",
            ),
        ] {
            let refusal = Order::read(&payload).unwrap_err().to_string();
            assert!(refusal.starts_with("the order cannot be taken: ") && refusal.contains(reason), "{refusal}");
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        for lines in [&[(u64::MAX, 2)][..], &[(1, u64::MAX), (1, 1)], &[(1, u64::MAX)]] {
            Order::read(&payload("oro", lines)).unwrap().priced().unwrap_err();
        }
    }
}
