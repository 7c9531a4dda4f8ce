//! A stream whose tables lie in a bucket: they are those of a batch, whatever the store does.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netcrab_bus::log::Log;
use netcrab_bus::{Bus, split};
use netcrab_pipeline::stream::crash_points::Step;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::command_line::{self, assert_same, derived, stderr, text};
use crate::kills::{ended, log_in};
use crate::proxy::{Fault, Proxy};
use crate::s3;
use crate::serve::{ask_text, free_address};
use crate::stream::{batch_tables, block_on, traffic};

const EVENTS: u64 = 2000;

const BROKEN: Fault = Fault::Says("500 Internal Server Error", "<Error><Code>InternalError</Code></Error>");
const BUSY: Fault = Fault::Says("503 Slow Down", "<Error><Code>SlowDown</Code></Error>");
const EXPIRED: Fault = Fault::Says(
    "400 Bad Request",
    "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>",
);

/// A stream with its log on a disk and its tables in a bucket.
struct World {
    tables: String,
    bus: PathBuf,
    log: Log,
    endpoint: String,
}

impl World {
    /// Tables at `root`, reached through `proxy`; the log lies in `folder`.
    fn new(folder: &Path, root: &url::Url, proxy: &Proxy) -> Self {
        let bus = folder.join("bus");
        let log = log_in(&bus);
        Self { tables: root.to_string(), bus, log, endpoint: format!("http://{}", proxy.address()) }
    }

    fn append(&self, events: &arrow::record_batch::RecordBatch) {
        block_on(self.log.append(split(events, 1).unwrap())).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = command_line::process(&self.tables);
        command.args(more);
        command.env("NETCRAB_BUS__LOG__FOLDER", text(&self.bus));
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_TIMEOUT", "2s").env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "netcrab").env("AWS_SECRET_ACCESS_KEY", "netcrab-secret");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn process(&self, crash: Option<&str>) -> Child {
        let mut command = self.command(&[]);
        if let Some(crash) = crash {
            command.env("NETCRAB_CRASH", crash);
        }
        command.spawn().unwrap()
    }

    /// Finishes the stream, and does what an error advises: to run again.
    fn finish(&self) {
        for _ in 0..5 {
            let output = self.command(&["--finish"]).stderr(Stdio::piped()).output().unwrap();
            if output.status.success() {
                return;
            }
            assert!(stderr(&output).contains("run again"), "{}", stderr(&output));
        }
        panic!("the stream did not come to its end in 5 runs");
    }

    fn derived(&self) -> Vec<String> {
        derived(Path::new(&self.tables))
    }
}

/// Waits until `done`.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn killed_at_each_step_and_at_random_while_the_store_fails_it_counts_every_event_once() {
    let Some(root) = s3::root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), EVENTS, 3);
    let mut chance = ChaCha8Rng::seed_from_u64(22);
    let proxy = Proxy::before(s3::address().to_owned(), move || match chance.random_range(0..1000) {
        0..40 => BROKEN,
        40..80 => BUSY,
        80..100 => Fault::Refused,
        // Stored, and never said so.
        100..104 => Fault::LostAnswer,
        _ => Fault::None,
    });
    let world = World::new(folder.path(), &root, &proxy);
    let mut batches = traffic(EVENTS, 3).into_iter();
    for step in Step::ALL.iter().filter(|step| **step != Step::Publish) {
        world.append(&batches.next().unwrap());
        let side = if batches.len().is_multiple_of(2) { "before" } else { "after" };
        let mut child = world.process(Some(&format!("{}.{side}:1", step.name())));
        assert!(ended(&mut child).code().is_none(), "{step:?} was not reached");
    }
    for events in batches {
        world.append(&events);
        let mut child = world.process(None);
        std::thread::sleep(Duration::from_millis(
            ChaCha8Rng::seed_from_u64(events.num_rows() as u64).random_range(200..1500),
        ));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    world.finish();
    assert_same(&world.derived(), &expected);
}

#[test]
fn while_its_keys_are_expired_events_wait_and_ready_says_what_to_do() {
    let Some(root) = s3::root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), EVENTS, 4);
    let proxy = Proxy::before(s3::address().to_owned(), || Fault::None);
    let world = World::new(folder.path(), &root, &proxy);
    let mut batches = traffic(EVENTS, 4).into_iter();
    let address = free_address();
    let ready = || ask_text(address, "GET /ready", "").unwrap_or_default();
    for events in batches.by_ref().take(4) {
        world.append(&events);
    }
    let mut child = world.command(&["--listen", &address.to_string()]).spawn().unwrap();
    until("it is never ready", || ready().0 == 200);
    let none = "netcrab_stream_epoch{shard=\"0\"} 0";
    until("no epoch", || !ask_text(address, "GET /metrics", "").unwrap_or_default().1.contains(none));
    proxy.now(|| EXPIRED);
    for events in batches.by_ref().take(4) {
        world.append(&events);
    }
    until("it does not say that keys have expired", || ready().1.contains("AWS_SESSION_TOKEN"));
    assert!(child.try_wait().unwrap().is_none(), "it gave up");
    proxy.now(|| Fault::None);
    for events in batches {
        world.append(&events);
    }
    until("it does not go on", || ready().0 == 200);
    child.kill().unwrap();
    child.wait().unwrap();
    world.finish();
    assert_same(&world.derived(), &expected);
    // One that cannot begin says so at once.
    proxy.now(|| EXPIRED);
    let output = world.command(&[]).stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("AWS_SESSION_TOKEN"), "{}", stderr(&output));
}
