//! A violation of the schema in the words of the author: which field, what was expected, what was probably meant.

use daymark_model::did_you_mean;
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::rules::Violation;

/// What the patterns of the schema stand for.
const PATTERNS: [(&str, &str); 4] = [
    (r"^[a-z0-9][a-z0-9-]{0,63}$", "1 to 64 characters of a-z, 0-9 and '-', not beginning with '-'"),
    (r"^https?://[^/\s]+", "an absolute http or https URL"),
    (r"^[0-9]{1,6}[smhd]$", "a length of time like \"10s\", \"5m\", \"1h\" or \"7d\""),
    (r"^(https?://[^/\s]+|/)", "an absolute http or https URL, or a path that begins with /"),
];

/// What is wrong at the place of `error` of a check against `schema`, which names the fields that exist.
pub(crate) fn explain(error: &ValidationError<'_>, schema: &Value) -> Vec<Violation> {
    let path = error.instance_path().as_str();
    let shown = if path.is_empty() { "the dashboard" } else { path };
    let one = |message: String| vec![Violation { pointer: path.to_owned(), message }];
    match error.kind() {
        ValidationErrorKind::AnyOf { context } if path.contains("/thresholds/") => threshold(error, context, schema),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let missing = missing_fields(error.instance(), path, schema);
            let unknown = |field: &String| {
                let meant = did_you_mean(field, missing.iter().copied());
                let pointer = format!("{path}/{}", field.replace('~', "~0").replace('/', "~1"));
                Violation { pointer, message: format!("{shown} has no field {field}{meant}") }
            };
            unexpected.iter().map(unknown).collect()
        }
        ValidationErrorKind::Required { property: Value::String(property) } => {
            one(format!("{shown} lacks the field {property:?}"))
        }
        ValidationErrorKind::OneOfNotValid { context } => {
            let constant = |error: &ValidationError<'static>| match error.kind() {
                ValidationErrorKind::Constant { expected_value } => expected_value.as_str().map(str::to_owned),
                _ => None,
            };
            let allowed: Vec<String> = context.iter().flatten().filter_map(constant).collect();
            one(format!("{shown}: {}", not_one_of(error.instance(), &allowed)))
        }
        ValidationErrorKind::Constant { expected_value } => {
            one(format!("{shown}: {} is not {expected_value}", error.instance()))
        }
        ValidationErrorKind::Pattern { pattern } => {
            let meaning = PATTERNS.iter().find(|(known, _)| known == pattern).map(|(_, meaning)| *meaning);
            let expected = meaning.map_or_else(|| format!("text that matches {pattern}"), str::to_owned);
            one(format!("{shown}: expected {expected}, got {}", error.instance()))
        }
        ValidationErrorKind::Type { .. } => {
            one(format!("{shown}: {}", wrong_type(error.instance(), &error.to_string())))
        }
        _ => one(format!("{shown}: {error}")),
    }
}

/// A threshold has two forms; the one that was meant is the one whose first field is there.
fn threshold(error: &ValidationError<'_>, forms: &[Vec<ValidationError<'static>>], schema: &Value) -> Vec<Violation> {
    let meant = match error.instance().as_ref() {
        Value::Object(fields) if fields.contains_key("slo") => forms.first(),
        Value::Object(fields) if fields.contains_key("value") => forms.get(1),
        _ => None,
    };
    let both = error.instance().get("slo").is_some() && error.instance().get("value").is_some();
    match meant.filter(|found| !both && !found.is_empty()) {
        Some(found) => found.iter().flat_map(|error| explain(error, schema)).collect(),
        None => {
            let message = "a threshold is either { slo, line } or { value, label }".to_owned();
            vec![Violation { pointer: error.instance_path().as_str().to_owned(), message }]
        }
    }
}

/// Fields that the object at `path` could have and has not.
fn missing_fields<'s>(object: &Value, path: &str, schema: &'s Value) -> Vec<&'s str> {
    let list = path.rsplit('/').find(|part| !part.is_empty() && part.parse::<usize>().is_err());
    let schemas = match list {
        None => vec![schema],
        Some("panels") => vec![&schema["$defs"]["Panel"]],
        Some("queries") => vec![&schema["$defs"]["Query"]],
        Some("links") => vec![&schema["$defs"]["Link"]],
        Some("thresholds") => vec![&schema["$defs"]["SloThreshold"], &schema["$defs"]["ValueThreshold"]],
        Some(_) => Vec::new(),
    };
    let fields = schemas.into_iter().filter_map(|schema| schema["properties"].as_object()).flatten();
    fields.map(|(field, _)| field.as_str()).filter(|field| object.get(field).is_none()).collect()
}

fn not_one_of(value: &Value, allowed: &[String]) -> String {
    let list: Vec<String> = allowed.iter().map(|allowed| format!("{allowed:?}")).collect();
    let advice = match value {
        Value::String(text) => did_you_mean(text, allowed.iter().map(String::as_str)),
        Value::Number(number) if allowed.contains(&number.to_string()) => format!(": write it in quotes, \"{number}\""),
        _ => String::new(),
    };
    format!("{value} is not one of {}{advice}", list.join(", "))
}

/// `text` is the validator's sentence; it ends with the types that were possible.
fn wrong_type(value: &Value, text: &str) -> String {
    let kind = text.rfind("is not of type").map_or("", |at| &text[at..]);
    let expected = [
        ("string", "a text"),
        ("array", "a list (lines that begin with `- `)"),
        ("object", "a mapping (lines of `key: value`)"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("boolean", "true or false"),
    ];
    let expected = expected.iter().find(|(name, _)| kind.contains(name)).map_or("another type", |(_, words)| *words);
    match value {
        Value::Null => format!("expected {expected}, got nothing"),
        Value::Number(_) | Value::Bool(_) if expected == "a text" => {
            format!("expected {expected}, got {value}: write it in quotes, \"{value}\"")
        }
        Value::Array(_) => format!("expected {expected}, got a list"),
        Value::Object(_) => format!("expected {expected}, got a mapping"),
        _ => format!("expected {expected}, got {value}"),
    }
}
