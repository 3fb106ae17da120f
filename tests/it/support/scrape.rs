//! The metrics of a server at one moment.

use std::collections::BTreeMap;

use matrica_starter::engine::Engine;
use matrica_starter::engine::http::gauges;

/// Values by series, such as `matrica_ready` or `matrica_refreshes_total{outcome="lost"}`.
#[derive(Clone)]
pub struct Scrape(pub BTreeMap<String, f64>);

impl Scrape {
    pub async fn of(engine: &Engine) -> Self {
        Self::parse(&gauges::text(engine).await.unwrap())
    }

    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self(series.collect())
    }

    /// The value of a series, which must exist.
    #[track_caller]
    pub fn get(&self, series: &str) -> f64 {
        let value = self.0.get(series);
        *value.unwrap_or_else(|| panic!("there is no {series}"))
    }

    /// Checks the value of a series.
    #[track_caller]
    pub fn expect(&self, series: &str, expected: f64) {
        let value = self.get(series);
        let difference = (value - expected).abs();
        assert!(difference < f64::EPSILON, "{series} is {value}");
    }

    /// How much the counters have grown, without those that have not.
    pub fn growth_since(&self, before: &Self) -> BTreeMap<&str, f64> {
        let counters = self.0.iter().filter(|(name, _)| is_counter(name));
        let growth = counters.map(|(name, value)| {
            let before = before.0.get(name).copied().unwrap_or_default();
            (name.as_str(), value - before)
        });
        growth.filter(|(_, growth)| *growth > 0.0).collect()
    }
}

/// Counters and the parts of histograms.
pub fn is_counter(series: &str) -> bool {
    let name = series.split('{').next().unwrap();
    ["_total", "_count", "_sum", "_bucket"]
        .iter()
        .any(|end| name.ends_with(end))
}
