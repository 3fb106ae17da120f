//! Cost against the size of the tables, as a picture.

use std::path::Path;

use plotters::prelude::*;

use crate::operations::Operation;
use crate::report::{Report, Row};

const SIZE: (u32, u32) = (900, 540);
/// Labels below the horizontal axis. More of them overlap on its logarithmic scale.
const LABELS: usize = 4;
/// Sweeps take far longer than anything else.
const LEFT_OUT: Operation = Operation::Sweep;

/// CPU time per operation, server and database together, one line per operation.
pub fn draw(report: &Report, path: &Path) {
    let rows = || report.rows().iter().filter(|row| row.operation != LEFT_OUT);
    let users = |row: &Row| f64::from(u32::try_from(row.users.max(1)).unwrap_or(u32::MAX));
    let cost = |row: &Row| row.figures.server_micros() + row.figures.database_micros();
    let (least, most) = rows()
        .map(users)
        .fold((f64::MAX, 2.0), |(least, most), users| {
            (users.min(least), users.max(most))
        });
    let highest = rows().map(cost).fold(1.0, f64::max);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&area)
        .caption("CPU time per operation", ("sans-serif", 22))
        .margin(16)
        .margin_right(48)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (least.min(most / 2.0)..most).log_scale(),
            0.0..highest * 1.1,
        )
        .unwrap();
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(LABELS)
        .x_label_formatter(&|users| format!("{users:.0}"))
        .y_label_formatter(&|micros| format!("{micros:.0}"))
        .x_desc("users in the tables")
        .y_desc("µs, server and database")
        .draw()
        .unwrap();
    for (number, operation) in Operation::ALL.into_iter().enumerate() {
        let points = rows().filter(|row| row.operation == operation);
        let points: Vec<_> = points.map(|row| (users(row), cost(row))).collect();
        if points.is_empty() {
            continue;
        }
        let color = Palette99::pick(number).to_rgba();
        let line = LineSeries::new(points, color.stroke_width(2)).point_size(4);
        chart
            .draw_series(line)
            .unwrap()
            .label(operation.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .unwrap();
    area.present().unwrap();
}
