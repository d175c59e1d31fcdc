//! A target: purchase orders, taken by a Lambda function that Kairos calls. It shows what a target's author does with the placeholders.
//!
//! A process passes on in `Parametros` what its target needs, and the executor fills in which execution it is:
//!
//! ```json
//! {"IdEjecucion": "<kairos.execution-id>", "FechaProgramada": "<kairos.scheduled-time>",
//!  "Cliente": "ferreteria-sur", "Nivel": "oro",
//!  "Lineas": [{"Producto": "tornillo", "Cantidad": 200, "PrecioUnitario": 1500}]}
//! ```
//!
//! - `<kairos.execution-id>` is the same at each try of the same occurrence. The order is stored under it, on condition that there is none yet: a call that
//!   comes twice, after a crash or by Lambda's own retries, stores one order.
//! - `<kairos.scheduled-time>` is when the order is due, however late it is called.
//!
//! What an order comes to is computed by [`Order::priced`], purely; [`OrderTable`] stores it.

mod order;
mod table;

use std::sync::Arc;

use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::{Value, json};

pub use order::{Line, Order, Priced, Priority, Refusal, Tier};
pub use table::{OrderTable, Stored};

use crate::functions::{SetupError, connections};
use crate::telemetry;

/// The function `orders`, over the table that `ORDERS_TABLE` names: `Pedidos` if it is not set.
#[derive(Clone, Debug)]
pub struct OrdersFunction {
    table: OrderTable,
}

impl OrdersFunction {
    /// Reads the environment.
    ///
    /// # Errors
    /// None so far; it is what every function begins with.
    pub async fn from_environment() -> Result<Arc<Self>, SetupError> {
        telemetry::start();
        let sdk = connections::load().await;
        let name = std::env::var("ORDERS_TABLE").unwrap_or_else(|_| "Pedidos".into());
        Ok(Arc::new(Self { table: OrderTable::new(aws_sdk_dynamodb::Client::new(&sdk), name) }))
    }

    /// One invocation: takes one order.
    ///
    /// # Errors
    /// A [`Refusal`] if the payload is no order, which calling again cannot help; whatever the table answers.
    pub async fn handle(self: Arc<Self>, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
        let failed = |error_type: &str, error_message: String| {
            tracing::error!(error_type, error_message, "not taken");
            Diagnostic { error_type: error_type.into(), error_message }
        };
        let refused = |refusal: Refusal| failed("refused", refusal.to_string());
        let order = Order::read(&event.payload).map_err(refused)?;
        let priced = order.priced().map_err(refused)?;
        let stored = self.table.store(&priced).await.map_err(|error| failed("unavailable", error.to_string()))?;
        tracing::info!(execution = %order.execution_id, total = priced.total, ?stored, "taken");
        Ok(json!({
            "IdEjecucion": order.execution_id,
            "Total": priced.total,
            "Descuento": priced.discount,
            "Prioridad": priced.priority,
            "Repetido": stored == Stored::Already,
        }))
    }
}
