//! Metrics: name, unit and kind first, then the points, whatever the order on the wire.

use super::attributes::{self, Attribute, KeyValues};
use super::envelope::{Items, Names};
use super::points::{Layout, PointScratch};
use super::tally::Tally;
use super::view::{MetricKind, MetricView, ResourceView, ScopeView, Temporality};
use super::wire::{Fault, Field, Fields, Parse};
use super::{DecodeLimits, MetricVisitor};
use crate::Problem;

/// Scratch lists of one walk, reused from metric to metric and point to point.
pub(super) struct MetricItems<'a, 'v, V> {
    visitor: &'v mut V,
    pub(super) tally: Tally,
    metadata: Vec<Attribute<'a>>,
    point: PointScratch<'a>,
}

impl<'v, V: MetricVisitor> MetricItems<'_, 'v, V> {
    pub(super) fn new(visitor: &'v mut V, limits: DecodeLimits) -> Self {
        let point = PointScratch::new(limits.max_list);
        MetricItems { visitor, tally: Tally::new(limits), metadata: vec![], point }
    }
}

impl<'a, V: MetricVisitor> Items<'a> for MetricItems<'a, '_, V> {
    const NAMES: Names = Names { resources: "resource_metrics", scopes: "scope_metrics", items: "metrics" };

    fn max_list(&self) -> usize {
        self.tally.limits.max_list
    }

    fn resource(&mut self, resource: &ResourceView<'_, 'a>) {
        self.visitor.resource(resource);
    }

    fn scope(&mut self, scope: &ScopeView<'_, 'a>) {
        self.visitor.scope(scope);
    }

    fn item(&mut self, message: &'a [u8]) -> Parse<()> {
        self.metadata.clear();
        match self.read(message) {
            Ok((_, None)) => Ok(()),
            Ok((head, Some(data))) => self.walk_data(&head, &data),
            Err(fault) => self.spoil_points(message, fault),
        }
    }
}

impl<'a, V: MetricVisitor> MetricItems<'a, '_, V> {
    /// What names the metric, and its data.
    fn read(&mut self, message: &'a [u8]) -> Parse<(Head<'a>, Option<Field<'a>>)> {
        let (mut head, mut data) = (Head::default(), None);
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => head.name = field.text("name")?,
                2 => head.description = field.text("description")?,
                3 => head.unit = field.text("unit")?,
                5 | 7 | 9 | 10 | 11 => match data {
                    None => data = Some(field),
                    Some(_) => return Err(field.fault("data", Problem::Repeated)),
                },
                12 => attributes::push(&mut self.metadata, 0, &field, "metadata", self.tally.limits.max_list)?,
                _ => {}
            }
        }
        Ok((head, data))
    }

    /// Rejects all points of a metric when `fault` concerns its name, its unit or its metadata alone.
    fn spoil_points(&mut self, message: &'a [u8], fault: Box<Fault>) -> Parse<()> {
        let reason = fault.of_one_item().ok_or(fault)?;
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            if !matches!(field.number, 5 | 7 | 9 | 10 | 11) {
                continue;
            }
            let mut points = Fields::of(field.bytes("data")?);
            while let Some(point) = points.next()? {
                if point.number == 1 {
                    self.tally.count(point.bytes("data_point")?)?;
                    self.tally.reject(reason);
                }
            }
        }
        Ok(())
    }

    fn walk_data(&mut self, head: &Head<'a>, data: &Field<'a>) -> Parse<()> {
        let (layout, label) = layout_of(data.number);
        let message = data.bytes(label)?;
        let kind = kind_of(message, layout).map_err(|fault| fault.inside(label))?;
        let Head { name, unit, description } = *head;
        let metadata = KeyValues(&self.metadata);
        self.visitor.metric(&MetricView { name, unit, description, metadata, kind });
        let mut fields = Fields::of(message);
        let mut index = 0;
        while let Some(field) = fields.next()? {
            if field.number == 1 {
                let point = self.walk_point(&field, layout, kind);
                point.map_err(|fault| fault.within("data_points", index).inside(label))?;
                index += 1;
            }
        }
        Ok(())
    }

    fn walk_point(&mut self, field: &Field<'a>, layout: Layout, kind: MetricKind) -> Parse<()> {
        let message = field.bytes("data_point")?;
        self.tally.count(message)?;
        let judged = match self.point.parse(message, layout, self.tally.limits.times) {
            Ok(judged) => judged,
            Err(fault) => return self.tally.spoil(fault),
        };
        match judged.and_then(|point| adds_up(kind).map(|()| point)) {
            Ok(point) => self.visitor.point(&point),
            Err(reason) => self.tally.reject(reason),
        }
        Ok(())
    }
}

/// Whether it is said how the points of a metric add up: a running total and a difference look alike.
fn adds_up(kind: MetricKind) -> Result<(), &'static str> {
    match kind {
        MetricKind::Sum { temporality: Temporality::Unspecified, .. } => {
            Err("sum without aggregation temporality: it must be delta or cumulative")
        }
        MetricKind::Histogram { temporality: Temporality::Unspecified }
        | MetricKind::ExponentialHistogram { temporality: Temporality::Unspecified } => {
            Err("histogram without aggregation temporality: it must be delta or cumulative")
        }
        _ => Ok(()),
    }
}

/// The texts of a metric.
#[derive(Default)]
struct Head<'a> {
    name: &'a str,
    unit: &'a str,
    description: &'a str,
}

fn layout_of(number: u32) -> (Layout, &'static str) {
    match number {
        5 => (Layout::Gauge, "gauge"),
        7 => (Layout::Sum, "sum"),
        9 => (Layout::Histogram, "histogram"),
        10 => (Layout::Exponential, "exponential_histogram"),
        _ => (Layout::Summary, "summary"),
    }
}

/// Reads what stands beside the points; in the order of the wire it usually comes after them.
fn kind_of(message: &[u8], layout: Layout) -> Parse<MetricKind> {
    let (mut temporality, mut monotonic) = (Temporality::Unspecified, false);
    let has_temporality = matches!(layout, Layout::Sum | Layout::Histogram | Layout::Exponential);
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            2 if has_temporality => {
                temporality = match field.enumeration("aggregation_temporality", 2)? {
                    1 => Temporality::Delta,
                    2 => Temporality::Cumulative,
                    _ => Temporality::Unspecified,
                }
            }
            3 if layout == Layout::Sum => monotonic = field.varint("is_monotonic")? != 0,
            _ => {}
        }
    }
    Ok(match layout {
        Layout::Gauge => MetricKind::Gauge,
        Layout::Sum => MetricKind::Sum { monotonic, temporality },
        Layout::Histogram => MetricKind::Histogram { temporality },
        Layout::Exponential => MetricKind::ExponentialHistogram { temporality },
        Layout::Summary => MetricKind::Summary,
    })
}
