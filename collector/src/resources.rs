//! Resources turned into column text once: the same few resources come with every request.

use std::sync::Arc;

use daymark_wire::decode::ResourceView;
use xxhash_rust::xxh3::xxh3_128;

use crate::columns::{Encoded, encode};
use crate::keyed::IdMap;
use crate::rollup::hash_attributes;

/// Resources remembered per tenant. When there are more, all are forgotten: a sender with so many gains nothing here.
const MAX_RESOURCES: usize = 4_096;
/// Larger ones are not kept, so that the cache stays small.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// What rows need of a resource.
pub(crate) struct Resource {
    pub(crate) service: Arc<str>,
    pub(crate) text: Arc<Encoded>,
    /// Order-independent hash of the attributes, part of the series id.
    pub(crate) hash: u64,
}

/// The resources of one tenant, by their bytes.
#[derive(Default)]
pub(crate) struct Resources {
    known: IdMap<[u64; 2], Arc<Resource>>,
}

impl Resources {
    pub(crate) fn get(&mut self, view: &ResourceView<'_, '_>) -> Arc<Resource> {
        let hash = xxh3_128(view.raw);
        let key = [hash as u64, (hash >> 64) as u64];
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let resource = Arc::new(Resource {
            service: view.service_name.into(),
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
