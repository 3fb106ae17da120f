//! The pictures of the demo, drawn as SVG. The same name always gives the same picture.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Where the pictures of the demo people are said to be. Nothing is there.
const NOWHERE: &str = "https://example.com/";
/// Draws the picture of a name.
type Motif = fn(&Seed) -> String;
/// A collection by the beginning of its names, and the motif of its pictures.
const MOTIFS: [(&str, Motif); 8] = [
    ("Paper Otters", otter),
    ("Night Ferries", ferry),
    ("Kelp Choir", kelp),
    ("Tin Comets", comet),
    ("Loud Ferns", fern),
    ("Clay Radios", radio),
    ("Moss Atlas", hills),
    ("Ink Tides", tides),
];
/// A picture runs no script, and loads nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// So many shapes.
fn drawn(count: u32, shape: impl Fn(u32) -> String) -> String {
    (0..count).map(shape).collect::<Vec<_>>().concat()
}

/// Numbers that follow from a name.
struct Seed([u8; 32]);

impl Seed {
    fn of(name: &str) -> Self {
        Self(Sha256::digest(name).into())
    }

    /// A number from `least` to `most`.
    fn between(&self, index: u32, least: u32, most: u32) -> u32 {
        least + u32::from(self.0[index as usize % self.0.len()]) * (most - least) / 255
    }

    fn color(&self, index: u32, saturation: u32, lightness: u32) -> String {
        let hue = self.between(index, 0, 359);
        format!("hsl({hue} {saturation}% {lightness}%)")
    }
}

/// Lets the fields of an answer point to the pictures that this provider draws.
pub fn point_to(origin: &str, answer: &mut Value) {
    match answer {
        Value::Array(items) => items.iter_mut().for_each(|item| point_to(origin, item)),
        Value::Object(fields) => {
            let name = fields
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let motif = MOTIFS.iter().position(|(names, _)| name.starts_with(names));
            for (field, kind) in [
                ("image", format!("nft-{}", motif.unwrap_or(0))),
                ("pfp", "portrait".to_owned()),
                ("banner", "banner".to_owned()),
            ] {
                let url = fields
                    .get(field)
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let is_ours = url.starts_with(NOWHERE);
                let file = url.rsplit('/').next().filter(|_| is_ours);
                if let Some(drawn) = file.map(|file| format!("{origin}/pictures/{kind}/{file}")) {
                    fields.insert(field.to_owned(), json!(drawn));
                }
            }
            fields
                .values_mut()
                .for_each(|value| point_to(origin, value));
        }
        _ => {}
    }
}

/// `GET /pictures/{kind}/{name}`
pub async fn picture(Path((kind, name)): Path<(String, String)>) -> Response {
    let seed = Seed::of(&name);
    let drawing = match kind.as_str() {
        "portrait" => portrait(&seed),
        "banner" => banner(&seed),
        kind => {
            let motif = kind
                .strip_prefix("nft-")
                .and_then(|motif| motif.parse().ok());
            let motif = motif.and_then(|motif: usize| MOTIFS.get(motif));
            match motif {
                Some((_, draw)) => square(&draw(&seed)),
                None => return StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, drawing).into_response()
}

fn square(shapes: &str) -> String {
    format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 200 200'>{shapes}</svg>")
}

fn sky(seed: &Seed, saturation: u32, lightness: u32) -> String {
    let color = seed.color(0, saturation, lightness);
    format!("<rect width='200' height='200' fill='{color}'/>")
}

fn portrait(seed: &Seed) -> String {
    let (skin, hair) = (seed.between(1, 35, 80), seed.color(2, 45, 30));
    let shirt = seed.color(3, 55, 45);
    square(&format!(
        "{}<path d='M30 200a70 62 0 0 1 140 0z' fill='{shirt}'/>\
         <rect x='84' y='120' width='32' height='40' rx='14' fill='hsl(25 45% {skin}%)'/>\
         <circle cx='100' cy='92' r='44' fill='{hair}'/>\
         <ellipse cx='100' cy='100' rx='33' ry='38' fill='hsl(25 45% {skin}%)'/>\
         <circle cx='88' cy='98' r='4'/><circle cx='112' cy='98' r='4'/>\
         <path d='M88 116q12 10 24 0' fill='none' stroke='#000' stroke-width='4' stroke-linecap='round'/>",
        sky(seed, 55, 78)
    ))
}

fn banner(seed: &Seed) -> String {
    let sun = seed.between(4, 150, 950);
    let ridge = |index: u32, base: u32, lightness: u32| {
        let heights: Vec<_> = (0..6)
            .map(|step| base - seed.between(index + step, 0, 50))
            .collect();
        let color = seed.color(1, 40, lightness);
        let mut path = format!("M0 {}", heights[0]);
        for (step, height) in heights.iter().enumerate().skip(1) {
            let x = step * 220;
            let top = height.saturating_sub(25);
            path = format!("{path}Q{} {top} {x} {height}", x - 110);
        }
        format!("<path d='{path}V160H0z' fill='{color}'/>")
    };
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1088 160' preserveAspectRatio='xMidYMid slice'>\
         <rect width='1088' height='160' fill='{}'/><circle cx='{sun}' cy='62' r='30' fill='{}'/>{}{}{}</svg>",
        seed.color(0, 60, 80),
        seed.color(2, 85, 68),
        ridge(5, 110, 62),
        ridge(11, 135, 48),
        ridge(17, 158, 34),
    )
}

fn otter(seed: &Seed) -> String {
    let (fur, muzzle) = (seed.color(1, 40, 40), seed.color(1, 45, 75));
    let look = seed.between(2, 0, 8);
    format!(
        "{}<circle cx='56' cy='66' r='18' fill='{fur}'/><circle cx='144' cy='66' r='18' fill='{fur}'/>\
         <ellipse cx='100' cy='112' rx='66' ry='60' fill='{fur}'/>\
         <ellipse cx='100' cy='136' rx='40' ry='30' fill='{muzzle}'/>\
         <circle cx='{}' cy='100' r='8'/><circle cx='{}' cy='100' r='8'/>\
         <ellipse cx='100' cy='122' rx='13' ry='9'/>\
         <path d='M62 138h-34M66 148l-32 8M138 138h34M134 148l32 8' stroke='#fff' stroke-width='3'/>",
        sky(seed, 60, 82),
        68 + look,
        124 + look
    )
}

fn ferry(seed: &Seed) -> String {
    let (moon, hull) = (seed.between(1, 40, 160), seed.color(2, 65, 55));
    let lights = drawn(5, |index| {
        format!(
            "<circle cx='{}' cy='112' r='5' fill='#ffe08a'/>",
            64 + index * 18
        )
    });
    format!(
        "{}<circle cx='{moon}' cy='44' r='20' fill='#fdf3cf'/>\
         <path d='M30 122h140l-18 34H48z' fill='{hull}'/><rect x='54' y='98' width='92' height='24' fill='#f4f4f4'/>\
         <rect x='112' y='70' width='18' height='28' fill='{hull}'/>{lights}\
         <path d='M0 154q25-14 50 0t50 0t50 0t50 0V200H0z' fill='hsl(215 60% 30%)'/>",
        sky(seed, 45, 22)
    )
}

fn kelp(seed: &Seed) -> String {
    let strands = drawn(6, |index| {
        let x = 20 + index * 32;
        let bend = seed.between(index + 2, 10, 34);
        let color = seed.color(index + 1, 50, 45);
        format!(
            "<path d='M{x} 200q{bend}-40 0-80t0-80' fill='none' stroke='{color}' stroke-width='16' stroke-linecap='round'/>"
        )
    });
    format!("{}{strands}", sky(seed, 45, 80))
}

fn comet(seed: &Seed) -> String {
    let stars = drawn(10, |index| {
        let (x, y) = (
            seed.between(index + 3, 5, 195),
            seed.between(index + 13, 5, 195),
        );
        format!("<circle cx='{x}' cy='{y}' r='2.5' fill='#fff'/>")
    });
    let (turn, tail) = (seed.between(1, 0, 60), seed.color(2, 80, 65));
    format!(
        "{}{stars}<g transform='rotate({turn} 100 100)'><path d='M130 70L10 120 20 150z' fill='{tail}'/>\
         <circle cx='132' cy='92' r='34' fill='#dfe5ea'/><circle cx='142' cy='84' r='9' fill='#b4bec7'/>\
         <circle cx='122' cy='104' r='6' fill='#b4bec7'/></g>",
        sky(seed, 50, 20)
    )
}

fn fern(seed: &Seed) -> String {
    let (leaf, turn) = (seed.color(1, 50, 38), seed.between(2, 0, 24));
    let leaves = drawn(7, |index| {
        let (y, size) = (170 - index * 22, 46 - index * 5);
        format!(
            "<ellipse cx='{}' cy='{y}' rx='{size}' ry='9' transform='rotate(-24 100 {y})' fill='{leaf}'/>\
                 <ellipse cx='{}' cy='{y}' rx='{size}' ry='9' transform='rotate(24 100 {y})' fill='{leaf}'/>",
            100 + size,
            100 - size
        )
    });
    format!(
        "{}<g transform='rotate({turn} 100 200)'><path d='M100 200V24' stroke='{leaf}' stroke-width='7'/>{leaves}</g>",
        sky(seed, 70, 84)
    )
}

fn radio(seed: &Seed) -> String {
    let (case, dial) = (seed.color(1, 55, 45), seed.between(2, 96, 168));
    format!(
        "{}<path d='M64 62L120 20' stroke='#333' stroke-width='5'/>\
         <rect x='24' y='60' width='152' height='104' rx='20' fill='{case}'/>\
         <circle cx='68' cy='112' r='32' fill='#222'/><circle cx='68' cy='112' r='20' fill='none' stroke='#777' stroke-width='5'/>\
         <rect x='112' y='84' width='52' height='18' rx='5' fill='#fff4d6'/>\
         <rect x='{}' y='84' width='4' height='18' fill='#d33'/>\
         <circle cx='124' cy='130' r='10' fill='#f4f4f4'/><circle cx='152' cy='130' r='10' fill='#f4f4f4'/>",
        sky(seed, 45, 82),
        dial.min(158)
    )
}

fn hills(seed: &Seed) -> String {
    let rings = drawn(7, |index| {
        let (width, height) = (92 - index * 12, 78 - index * 10);
        let (x, y) = (seed.between(2, 80, 120), seed.between(3, 80, 120));
        let color = format!("hsl({} 38% {}%)", seed.between(0, 70, 160), 36 + index * 8);
        format!("<ellipse cx='{x}' cy='{y}' rx='{width}' ry='{height}' fill='{color}'/>")
    });
    format!("{}{rings}", sky(seed, 35, 70))
}

fn tides(seed: &Seed) -> String {
    let hue = seed.between(0, 190, 290);
    let waves = drawn(6, |index| {
        let (y, shift) = (50 + index * 26, seed.between(index + 1, 0, 50));
        let lightness = 72 - index * 10;
        format!(
            "<path d='M-{shift} {y}q25-22 50 0t50 0t50 0t50 0t50 0V200H-{shift}z' fill='hsl({hue} 60% {lightness}%)'/>"
        )
    });
    format!("<rect width='200' height='200' fill='hsl({hue} 50% 90%)'/>{waves}")
}
