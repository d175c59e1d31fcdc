//! Attributes as serde reads them.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::value::{Error as Unreadable, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::item::Item;

/// An attribute as serde reads it, where it is: a page has hundreds of items.
pub(super) struct Attribute<'de>(&'de AttributeValue);

/// Without what JSON does not have, bytes and sets: no attribute of ours holds any.
pub(super) fn fields(fields: &Item) -> impl Iterator<Item = (&str, Attribute<'_>)> {
    fields.iter().filter(|(_, value)| is_json(value)).map(|(name, value)| (name.as_str(), Attribute(value)))
}

fn is_json(attribute: &AttributeValue) -> bool {
    use AttributeValue::{Bool, L, M, N, Null, S};
    matches!(attribute, Null(_) | Bool(_) | N(_) | S(_) | L(_) | M(_))
}

impl<'de> IntoDeserializer<'de, Unreadable> for Attribute<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Attribute<'de> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            AttributeValue::Bool(truth) => visitor.visit_bool(*truth),
            AttributeValue::N(digits) => visit_number(digits, visitor),
            AttributeValue::S(text) => visitor.visit_borrowed_str(text),
            AttributeValue::L(values) => {
                SeqDeserializer::new(values.iter().filter(|value| is_json(value)).map(Attribute))
                    .deserialize_any(visitor)
            }
            AttributeValue::M(nested) => MapDeserializer::new(fields(nested)).deserialize_any(visitor),
            _ => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    /// States and origins: variants by their names.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        match self.0 {
            AttributeValue::S(text) => text.as_str().into_deserializer().deserialize_enum(name, variants, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

fn visit_number<'de, V: Visitor<'de>>(digits: &str, visitor: V) -> Result<V::Value, Unreadable> {
    if let Ok(number) = digits.parse() {
        visitor.visit_u64(number)
    } else if let Ok(number) = digits.parse() {
        visitor.visit_i64(number)
    } else {
        let number = digits.parse().map_err(|_| Unreadable::custom(format!("{digits} is no number")))?;
        visitor.visit_f64(number)
    }
}
