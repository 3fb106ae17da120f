//! Half of the peak load for long, while the provider and the database fail now and then.

mod course;
mod fault;
pub mod plot;
mod visitor;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

pub use self::course::Course;
use self::course::{Sample, Tally};
use self::fault::Fault;
use self::visitor::Visitor;
use crate::measure::say;
use crate::operations::sign_in_people;
use crate::site::Site;
use crate::{Options, processes};

/// How long the peak is measured, after as long a warm-up.
const PEAK: Duration = Duration::from_secs(10);
/// So that tokens are refreshed all the time.
const TOKEN_LIFETIME_SECONDS: u64 = 60;
/// A fault lasts for the first part of each period.
const PERIOD: Duration = Duration::from_mins(1);
const FAULT: Duration = Duration::from_secs(20);
/// Answers may still tell of a fault for so long after its end.
const AFTERWARDS: Duration = Duration::from_secs(5);

pub async fn run(options: &Options, duration: Duration) -> Course {
    let users = options.users.first().copied().unwrap_or_default();
    let mut site = Site::start(options, users).await;
    // With a grace period, so that a lost answer ends no grant.
    let lifetime = json!({ "expires_in": TOKEN_LIFETIME_SECONDS, "reuse_grace_ms": 120_000 });
    site.provider.set(lifetime).await;
    sign_in_people(&mut site, options).await;
    let tally = Arc::new(Tally::default());
    let clients = options.clients.max(1);
    let new = |number| Visitor::new(&site, number, options.people.max(1), &tally);
    let mut visitors: Vec<_> = (0..clients).map(new).collect();
    for name in ["warm-up", "peak"] {
        say(name);
        tally.clear();
        visitors = visit(visitors, PEAK, None).await;
    }
    let peak = tally.requests() / PEAK.as_secs();
    tally.clear();
    let rate = (peak / 2).max(1);
    let mut course = Course::new(peak);
    let visiting = visit(visitors, duration, Some(rate));
    let watching = watch(&site, &tally, duration, &mut course);
    tokio::join!(visiting, watching);
    course
}

/// Visitors for a while. With a rate, in requests per second of all together, or as fast as they can.
/// Returns them with their newest sessions, because a person's older ones have ended.
async fn visit(visitors: Vec<Visitor>, duration: Duration, rate: Option<u64>) -> Vec<Visitor> {
    let end = Instant::now() + duration;
    let clients = visitors.len() as u64;
    let pace = rate.map(|rate| Duration::from_secs(clients) / u32::try_from(rate).unwrap());
    let visiting = visitors.into_iter();
    let visiting: JoinSet<_> = visiting
        .map(|visitor| visitor.visit_until(end, pace))
        .collect();
    visiting.join_all().await
}

/// Lets things fail in turn, and takes a sample each second.
async fn watch(site: &Site, tally: &Tally, duration: Duration, course: &mut Course) {
    let started = Instant::now();
    let mut current: Option<Fault> = None;
    let mut ended = started;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while started.elapsed() < duration {
        second.tick().await;
        let wanted = Fault::at(started.elapsed(), PERIOD, FAULT);
        if wanted != current {
            if let Some(fault) = current {
                fault.end(site).await;
                ended = Instant::now();
            }
            if let Some(fault) = wanted {
                fault.begin(site).await;
            }
            current = wanted;
        }
        if let Some(fault) = current {
            fault.strike(site).await;
        }
        let explained = current.is_some() || ended.elapsed() < AFTERWARDS;
        let seconds = started.elapsed().as_secs();
        course.add(sample(site, tally, seconds, current, explained).await);
        say(&format!(
            "soak: {seconds} s of {} s, {} requests",
            duration.as_secs(),
            course.requests()
        ));
    }
    if let Some(fault) = current {
        fault.end(site).await;
    }
}

async fn sample(
    site: &Site,
    tally: &Tally,
    seconds: u64,
    fault: Option<Fault>,
    explained: bool,
) -> Sample {
    let servers = &site.watched.servers;
    let connections =
        "select count(*) from pg_stat_activity where application_name = 'matrica-starter'";
    let connections = sqlx::query_scalar::<_, i64>(connections);
    let connections = connections.fetch_one(&site.pool).await.unwrap();
    Sample {
        seconds,
        fault: fault.map(Fault::name),
        explained,
        counts: tally.take(),
        resident: servers.iter().map(|id| processes::resident(*id)).sum(),
        sockets: servers.iter().map(|id| processes::sockets(*id)).sum(),
        threads: servers.iter().map(|id| processes::threads(*id)).sum(),
        connections: usize::try_from(connections).unwrap(),
    }
}
