//! Start and size of the server, and the cost of a seal.

use std::time::{Duration, Instant};

use matrica_starter::engine::seal::{Keyring, Purpose};

use crate::{
    resident,
    support::{Process, TestApp},
};

/// From exec to the first answer. A debug build gets more time.
const START: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 100 });
/// Resident memory of an idle server, in bytes. A debug build maps some ten times the code.
const IDLE_MEMORY: u64 = 20 * 1024 * 1024 * if cfg!(debug_assertions) { 4 } else { 1 };
/// Longest time to seal or open one token, on average. Unoptimized code is tens of times slower.
const SEAL: Duration = Duration::from_micros(if cfg!(debug_assertions) { 2_000 } else { 20 });

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_soon_after_its_start_and_stays_small() {
    let _alone = crate::alone().await;
    let app = TestApp::spawn().await;
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let settings = app.settings.clone();
        let started = tokio::task::spawn_blocking(move || Process::serve_ready(&settings).1);
        fastest = fastest.min(started.await.unwrap());
    }
    assert!(fastest < START, "the first answer took {fastest:?}");
    let process = Process::start(&app.settings).await;
    let resident = resident(&process);
    assert!(resident < IDLE_MEMORY, "{resident} bytes");
}

#[test]
fn sealing_or_opening_a_token_takes_microseconds() {
    let _alone = crate::MACHINE.blocking_lock();
    let sealer = Keyring::parse(&Keyring::generate("k1"))
        .unwrap()
        .sealer(Purpose::Tokens);
    let context: [&[u8]; 5] = [b"grants", b"access_token", &[1; 16], &[2; 16], &[0; 8]];
    // As long as a token of the demo provider, and as a long JWT.
    for length in [43, 1_000] {
        let token = vec![b'x'; length];
        let envelope = sealer.seal(&context, &token);
        let per_call = |work: &dyn Fn()| {
            let started = Instant::now();
            (0..20).for_each(|_| work());
            started.elapsed() / 20
        };
        let seal = (0..200)
            .map(|_| per_call(&|| drop(sealer.seal(&context, &token))))
            .min()
            .unwrap();
        let open = (0..200)
            .map(|_| per_call(&|| drop(sealer.open(&context, &envelope).unwrap())))
            .min()
            .unwrap();
        println!("{length} bytes: sealing takes {seal:?}, opening {open:?}");
        assert!(
            seal < SEAL && open < SEAL,
            "{length} bytes: {seal:?}, {open:?}"
        );
    }
}
