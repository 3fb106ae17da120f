//! The course of a soak as a picture. Grey marks the faults.

use std::path::Path;

use plotters::prelude::*;

use super::course::{Course, Sample};

const SIZE: (u32, u32) = (900, 860);
const FAULT: RGBColor = RGBColor(222, 222, 222);
const LINE: RGBColor = RGBColor(30, 90, 160);

type Panel = (&'static str, fn(&Sample) -> f64);

const PANELS: [Panel; 5] = [
    ("requests per second", |sample| {
        sample.counts.requests as f64
    }),
    ("slowest answer, ms", |sample| {
        sample.counts.slowest.as_secs_f64() * 1e3
    }),
    ("memory, MB", |sample| sample.resident as f64 / 1e6),
    ("sockets", |sample| sample.sockets as f64),
    ("connections to the database", |sample| {
        sample.connections as f64
    }),
];

pub fn draw(course: &Course, path: &Path) {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).unwrap();
    for (panel, (name, value)) in area.split_evenly((PANELS.len(), 1)).iter().zip(PANELS) {
        let minutes = |sample: &Sample| sample.seconds as f64 / 60.0;
        let last = course.samples.last().map_or(1.0, minutes);
        let highest = course.samples.iter().map(value).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(panel)
            .caption(name, ("sans-serif", 16))
            .margin(6)
            .margin_right(24)
            .x_label_area_size(24)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..last, 0.0..highest)
            .unwrap();
        let faults = course
            .samples
            .iter()
            .filter(|sample| sample.fault.is_some());
        let bars = faults.map(|sample| {
            let from = minutes(sample);
            Rectangle::new([(from, 0.0), (from + 1.0 / 60.0, highest)], FAULT.filled())
        });
        chart.draw_series(bars).unwrap();
        chart
            .configure_mesh()
            .disable_mesh()
            .y_labels(4)
            .x_label_formatter(&|minutes| format!("{minutes:.0} min"))
            .draw()
            .unwrap();
        let points = course
            .samples
            .iter()
            .map(|sample| (minutes(sample), value(sample)));
        chart.draw_series(LineSeries::new(points, LINE)).unwrap();
    }
    area.present().unwrap();
}
