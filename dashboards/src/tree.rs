//! YAML as JSON, remembering the line of every value, so that a schema violation names a line.

use std::collections::BTreeMap;
use std::fmt;

use daymark_model::yaml_reason;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// A document and where its parts are.
#[derive(Debug)]
pub(crate) struct Located {
    /// The content.
    pub(crate) value: Value,
    /// Line of each value, by JSON pointer.
    lines: BTreeMap<String, u64>,
}

impl Located {
    /// Parses one document.
    ///
    /// # Errors
    /// Line and reason.
    pub(crate) fn parse(text: &str) -> Result<Located, (u64, String)> {
        let root: Spanned<Node> = serde_saphyr::from_str(text).map_err(|error| {
            let plain = error.without_snippet();
            let line = plain.location().map_or(1, |location| location.line().max(1));
            let message = plain.to_string();
            let message = message.lines().next().unwrap_or("not valid YAML");
            let message = &message[..message.find(" at line ").unwrap_or(message.len())];
            let column = plain.location().map_or(1, |location| location.column());
            (line, yaml_reason(message, text, line, column))
        })?;
        let mut lines = BTreeMap::new();
        let value = place(root, String::new(), &mut lines);
        Ok(Located { value, lines })
    }

    /// Line of the value at a JSON pointer, or of the nearest thing around it.
    pub(crate) fn line(&self, pointer: &str) -> u64 {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            match pointer.rfind('/') {
                Some(cut) => pointer = &pointer[..cut],
                None => return 1,
            }
        }
    }
}

enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Table(Vec<(String, Spanned<Node>)>),
}

fn place(node: Spanned<Node>, pointer: String, lines: &mut BTreeMap<String, u64>) -> Value {
    let children = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    let value = match node.value {
        Node::Scalar(value) => value,
        Node::List(items) => {
            let items = items.into_iter().enumerate();
            Value::Array(items.map(|(i, item)| place(item, children(&i.to_string()), lines)).collect())
        }
        Node::Table(entries) => {
            let entries = entries.into_iter();
            Value::Object(
                entries.map(|(key, item)| (key.clone(), place(item, children(&key), lines))).collect::<Map<_, _>>(),
            )
        }
    };
    lines.insert(pointer, node.referenced.line().max(1));
    value
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Node::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_line() {
        let located = Located::parse("a: 1\nb:\n  - c: x\n    d: [true, null]\n").unwrap();
        assert_eq!(located.value, serde_json::json!({"a": 1, "b": [{"c": "x", "d": [true, null]}]}));
        let lines = ["/a", "/b/0/c", "/b/0/d/1", "/b/0/missing"].map(|pointer| located.line(pointer));
        assert_eq!(lines, [1, 3, 4, 3]);
        assert_eq!(Located::parse("a: [1\nb: 2").unwrap_err().0, 2);
    }
}
