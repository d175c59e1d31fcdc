//! The table of orders.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};

use super::order::Priced;
use crate::functions::SetupError;

/// The key: the execution that placed an order.
const KEY: &str = "IdEjecucion";
/// The index of orders by state, the ones that are due first.
const BY_STATE: &str = "PorEstado";

/// Whether an order is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was not there.
    Now,
    /// An earlier call of the same execution has stored it.
    Already,
}

/// Orders by execution, with the index `PorEstado` of those in a state (`Estado`) by the time at which they are due (`FechaProgramada`).
#[derive(Clone, Debug)]
pub struct OrderTable {
    client: Client,
    name: String,
}

impl OrderTable {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Stores an order, if its execution has not stored one.
    ///
    /// # Errors
    /// Whatever the service answers.
    pub async fn store(&self, priced: &Priced<'_>) -> Result<Stored, SetupError> {
        let order = priced.order;
        let text = |text: &str| AttributeValue::S(text.into());
        let number = |number: u64| AttributeValue::N(number.to_string());
        let lines = order.lines.iter().map(|line| {
            let (quantity, price) = (number(line.quantity), number(line.unit_price));
            let attributes = [("Producto", text(&line.product)), ("Cantidad", quantity), ("PrecioUnitario", price)];
            AttributeValue::M(attributes.map(|(name, value)| (name.into(), value)).into())
        });
        let put = self.client.put_item().table_name(&self.name);
        let put = put
            .item(KEY, text(&order.execution_id.to_string()))
            .item("Estado", text("pendiente"))
            .item("FechaProgramada", text(&order.scheduled_time.to_string()))
            .item("Cliente", text(&order.customer))
            .item("Lineas", AttributeValue::L(lines.collect()))
            .item("Subtotal", number(priced.subtotal))
            .item("Descuento", number(priced.discount))
            .item("Total", number(priced.total))
            .item("Prioridad", text(priced.priority.as_str()))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", KEY);
        match put.send().await {
            Ok(_) => Ok(Stored::Now),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(Stored::Already)
            }
            Err(error) => Err(format!("{} cannot be written: {}", self.name, describe(&error)).into()),
        }
    }

    /// Makes the table.
    ///
    /// # Errors
    /// Whatever the service answers, also if there is one of this name.
    pub async fn create(&self) -> Result<(), SetupError> {
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let attribute = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name(BY_STATE)
            .key_schema(key("Estado", KeyType::Hash)?)
            .key_schema(key("FechaProgramada", KeyType::Range)?)
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()?;
        let mut request = self.client.create_table().table_name(&self.name).billing_mode(BillingMode::PayPerRequest);
        for name in [KEY, "Estado", "FechaProgramada"] {
            request = request.attribute_definitions(attribute(name)?);
        }
        request.key_schema(key(KEY, KeyType::Hash)?).global_secondary_indexes(index).send().await?;
        Ok(())
    }

    /// The executions whose orders are in a state, the ones that are due first; as many as one page holds.
    ///
    /// # Errors
    /// Whatever the service answers.
    pub async fn in_state(&self, state: &str) -> Result<Vec<String>, SetupError> {
        let query = self.client.query().table_name(&self.name).index_name(BY_STATE);
        let query = query.key_condition_expression("#state = :state").expression_attribute_names("#state", "Estado");
        let found = query.expression_attribute_values(":state", AttributeValue::S(state.into())).send().await?;
        let id = |item: &std::collections::HashMap<String, AttributeValue>| item.get(KEY)?.as_s().ok().cloned();
        Ok(found.items().iter().filter_map(id).collect())
    }
}

/// An error of the SDK says nothing by itself; what is behind it does.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}
