//! What the three export requests have in common: groups by resource, in them groups by scope, in them items.
//!
//! ```text
//! request { resource_groups = 1 { resource = 1, scope_groups = 2 { scope = 1, items = 2, schema_url = 3 }, schema_url = 3 } }
//! ```

use super::attributes::{self, Attribute, KeyValues};
use super::view::{ResourceView, ScopeView};
use super::wire::{Fields, Parse};
use crate::Problem;

/// Names of the levels of one signal, for paths in errors.
pub(super) struct Names {
    pub(super) resources: &'static str,
    pub(super) scopes: &'static str,
    pub(super) items: &'static str,
}

/// What a signal does with the content of its groups.
pub(super) trait Items<'a> {
    const NAMES: Names;
    fn max_list(&self) -> usize;
    fn resource(&mut self, resource: &ResourceView<'_, 'a>);
    fn scope(&mut self, scope: &ScopeView<'_, 'a>);
    fn item(&mut self, message: &'a [u8]) -> Parse<()>;
}

/// Walks a request; `items` sees resources before their scopes and scopes before their items.
pub(super) fn walk<'a, I: Items<'a>>(request: &'a [u8], items: &mut I) -> Parse<()> {
    let mut scratch = Vec::new();
    let mut fields = Fields::of(request);
    let mut index = 0;
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            let group = field.bytes(I::NAMES.resources)?;
            resource_group(group, items, &mut scratch).map_err(|fault| fault.within(I::NAMES.resources, index))?;
            index += 1;
        }
    }
    Ok(())
}

fn resource_group<'a, I: Items<'a>>(group: &'a [u8], items: &mut I, scratch: &mut Vec<Attribute<'a>>) -> Parse<()> {
    let resource = first(group, "resource")?;
    parse_resource(resource.unwrap_or_default(), items, scratch).map_err(|fault| fault.inside("resource"))?;
    let mut fields = Fields::of(group);
    let (mut resources, mut index) = (0, 0);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                resources += 1;
                if resources > 1 {
                    return Err(field.fault("resource", Problem::Repeated));
                }
            }
            2 => {
                let scope_group_bytes = field.bytes(I::NAMES.scopes)?;
                scope_group(scope_group_bytes, items, scratch).map_err(|fault| fault.within(I::NAMES.scopes, index))?;
                index += 1;
            }
            3 => _ = field.text("schema_url")?,
            _ => {}
        }
    }
    Ok(())
}

fn scope_group<'a, I: Items<'a>>(group: &'a [u8], items: &mut I, scratch: &mut Vec<Attribute<'a>>) -> Parse<()> {
    let scope = first(group, "scope")?;
    parse_scope(scope.unwrap_or_default(), items, scratch).map_err(|fault| fault.inside("scope"))?;
    let mut fields = Fields::of(group);
    let (mut scopes, mut index) = (0, 0);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                scopes += 1;
                if scopes > 1 {
                    return Err(field.fault("scope", Problem::Repeated));
                }
            }
            2 => {
                items.item(field.bytes(I::NAMES.items)?).map_err(|fault| fault.within(I::NAMES.items, index))?;
                index += 1;
            }
            3 => _ = field.text("schema_url")?,
            _ => {}
        }
    }
    Ok(())
}

/// The message in the first field 1. Senders write it first, so this usually reads one field.
fn first<'a>(group: &'a [u8], name: &str) -> Parse<Option<&'a [u8]>> {
    let mut fields = Fields::of(group);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            return field.bytes(name).map(Some);
        }
    }
    Ok(None)
}

fn parse_resource<'a, I: Items<'a>>(
    message: &'a [u8],
    items: &mut I,
    attributes: &mut Vec<Attribute<'a>>,
) -> Parse<()> {
    attributes.clear();
    let mut fields = Fields::of(message);
    let mut entities = 0;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => attributes::push(attributes, 0, &field, "attributes", items.max_list())?,
            2 => _ = field.varint("dropped_attributes_count")?,
            3 => {
                let entity = field.bytes("entity_refs")?;
                check_entity(entity).map_err(|fault| fault.within("entity_refs", entities))?;
                entities += 1;
            }
            _ => {}
        }
    }
    let attributes = KeyValues(attributes);
    let service = attributes.get("service.name").and_then(|value| value.as_str());
    let service_name = service.filter(|name| !name.is_empty()).unwrap_or("unknown_service");
    items.resource(&ResourceView { attributes, service_name, raw: message });
    Ok(())
}

/// Entities are not used yet; they are validated so that we refuse what prost refuses.
fn check_entity(message: &[u8]) -> Parse<()> {
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        if (1..=4).contains(&field.number) {
            field.text("entity_ref")?;
        }
    }
    Ok(())
}

fn parse_scope<'a, I: Items<'a>>(message: &'a [u8], items: &mut I, attributes: &mut Vec<Attribute<'a>>) -> Parse<()> {
    attributes.clear();
    let (mut name, mut version) = ("", "");
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => name = field.text("name")?,
            2 => version = field.text("version")?,
            3 => attributes::push(attributes, 0, &field, "attributes", items.max_list())?,
            4 => _ = field.varint("dropped_attributes_count")?,
            _ => {}
        }
    }
    items.scope(&ScopeView { name, version, attributes: KeyValues(attributes) });
    Ok(())
}
