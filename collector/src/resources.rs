//! Resources turned into column text once: the same few resources come with every request.

use std::sync::Arc;

use daymark_trace::{CLOCK_KEYS, clock_of};
use daymark_wire::decode::ResourceView;
use xxhash_rust::xxh3::xxh3_128;

use crate::columns::{Encoded, encode};
use crate::keyed::IdMap;
use crate::rollup::hash_attributes;
use crate::stitch::Names;

/// Resources remembered per tenant. When there are more, all are forgotten: a sender with so many gains nothing here.
const MAX_RESOURCES: usize = 4_096;
/// Larger ones are not kept, so that the cache stays small.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// What rows need of a resource.
pub(crate) struct Resource {
    pub(crate) service: Arc<str>,
    pub(crate) text: Arc<Encoded>,
    /// Number of the service's name among the tenant's names.
    pub(crate) service_number: u16,
    /// Which clock times what it sends.
    pub(crate) clock: u16,
    /// Order-independent hash of the attributes, part of the series id.
    pub(crate) hash: u64,
}

/// The clock of a service by the attributes of its resource.
pub(crate) fn clock<'a>(service: &'a str, attribute: impl Fn(&str) -> Option<&'a str>) -> u16 {
    let named = CLOCK_KEYS.into_iter().find_map(|key| attribute(key).filter(|value| !value.is_empty()));
    clock_of(named.unwrap_or(service))
}

/// The resources of one tenant, by their bytes.
#[derive(Default)]
pub(crate) struct Resources {
    known: IdMap<[u64; 2], Arc<Resource>>,
}

impl Resources {
    pub(crate) fn get(&mut self, view: &ResourceView<'_, '_>, names: &mut Names) -> Arc<Resource> {
        let hash = xxh3_128(view.raw);
        let key = [hash as u64, (hash >> 64) as u64];
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let resource = Arc::new(Resource {
            service: view.service_name.into(),
            service_number: names.number(view.service_name),
            clock: clock(view.service_name, |key| {
                let found = view.attributes.iter().find(|(known, _)| *known == key);
                found.and_then(|(_, value)| value.as_str())
            }),
            text: Arc::new(encode(view.attributes.iter())),
            hash: hash_attributes(view.attributes.iter()),
        });
        if view.raw.len() <= MAX_KEPT_BYTES {
            if self.known.len() >= MAX_RESOURCES {
                self.known.clear();
            }
            self.known.insert(key, Arc::clone(&resource));
        }
        resource
    }
}
