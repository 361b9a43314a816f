//! How texts of a form of their own stand in the API's document: as strings, with a sentence on the form.

/// The schema of a type that is a text in JSON; with a regular expression where one says it all.
macro_rules! text_schema {
    ($name:ident, $form:expr $(, $pattern:literal)?) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $form $(, "pattern": $pattern)? })
            }
        }
    };
}
pub(crate) use text_schema;
