//! Keys in, pages out, commands beside.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event as TerminalEvent};
use ratatui::layout::Rect;
use ratatui::{DefaultTerminal, TerminalOptions, Viewport};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::super::app::{App, Effect, Event};
use super::super::command::{Command, Outcome};
use super::super::draw::draw;
use super::super::key;
use super::super::page::Line;
use super::super::update::update;
use super::steps::Steps;
use super::{World, execute};

/// The agent is asked, and idle time looked at, this often.
const TICK: Duration = Duration::from_secs(1);
/// So long the reader of keys takes to notice that it is not wanted any more.
const KEY_PAUSE: Duration = Duration::from_millis(100);
/// Keys that wait.
const KEYS_MAX: usize = 64;
/// Steps of commands that wait to be shown.
const STEPS_MAX: usize = 16;
/// Commands at once: those of screens that were left go on.
const COMMANDS_MAX: usize = 8;
/// What a serial line is that does not say its size.
const SIZE_UNKNOWN: (u16, u16) = (80, 24);

/// Shows the console until it is left, or the terminal hangs up.
pub(super) async fn show(app: impl FnOnce((u16, u16)) -> App, world: Arc<World>) -> io::Result<()> {
    let told = ratatui::crossterm::terminal::size().unwrap_or((0, 0));
    let knows_size = told.0 > 0 && told.1 > 0;
    let size = if knows_size { told } else { SIZE_UNKNOWN };
    let mut terminal = open(knows_size, size)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, keys) = mpsc::channel(KEYS_MAX);
    let until = Arc::clone(&stop);
    let reader = std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || read_keys(&sender, &until))?;
    let (steps, progress) = mpsc::channel(STEPS_MAX);
    let result = Show {
        app: app(size),
        world,
        began: Instant::now(),
        commands: JoinSet::new(),
        steps,
    }
    .run(&mut terminal, keys, progress)
    .await;
    stop.store(true, Ordering::Relaxed);
    let restored = ratatui::try_restore();
    reader.join().ok();
    result.and(restored)
}

fn open(knows_size: bool, (width, height): (u16, u16)) -> io::Result<DefaultTerminal> {
    if knows_size {
        return ratatui::try_init();
    }
    let viewport = Viewport::Fixed(whole((width, height)));
    ratatui::try_init_with_options(TerminalOptions { viewport })
}

/// The terminal's area. To resize to it is to draw everything anew; `clear` would ask the terminal for
/// its cursor, and a serial line may not answer.
fn whole((width, height): (u16, u16)) -> Rect {
    Rect::new(0, 0, width, height)
}

/// Ends when nobody listens, when it is stopped, and when the terminal fails.
fn read_keys(keys: &mpsc::Sender<Event>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let read = match event::poll(KEY_PAUSE) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let event = match read {
            Ok(TerminalEvent::Key(pressed)) => key::read(pressed).map(Event::Key),
            Ok(TerminalEvent::Resize(width, height)) => Some(Event::Resize(width, height)),
            Ok(_) => None,
            Err(_) => return,
        };
        if let Some(event) = event
            && keys.blocking_send(event).is_err()
        {
            return;
        }
    }
}

struct Show {
    app: App,
    world: Arc<World>,
    began: Instant,
    commands: JoinSet<(u64, Outcome)>,
    steps: mpsc::Sender<Event>,
}

impl Show {
    async fn run(
        mut self,
        terminal: &mut DefaultTerminal,
        mut keys: mpsc::Receiver<Event>,
        mut progress: mpsc::Receiver<Event>,
    ) -> io::Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            terminal.draw(|frame| draw(&self.app, frame))?;
            let event = tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
                key = keys.recv() => match key {
                    Some(event) => event,
                    None => return Ok(()),
                },
                Some(event) = progress.recv() => event,
                Some(done) = self.commands.join_next() => match done {
                    Ok((ticket, outcome)) => Event::Done { ticket, outcome },
                    Err(_) => failed(self.app.ticket),
                },
                _ = ticks.tick() => Event::Tick,
            };
            // Drawing is what takes time: it is done once for keys that came together.
            let more = std::iter::from_fn(|| keys.try_recv().ok()).take(KEYS_MAX);
            for event in std::iter::once(event).chain(more) {
                let (app, effects) = update(self.app, event, self.began.elapsed());
                self.app = app;
                for effect in effects {
                    match effect {
                        Effect::Quit => return Ok(()),
                        Effect::Clear => terminal.resize(whole(self.app.size))?,
                        Effect::Run { ticket, command } => self.start(ticket, command),
                    }
                }
            }
        }
    }

    fn start(&mut self, ticket: u64, command: Command) {
        if self.commands.len() >= COMMANDS_MAX {
            let busy = Line::fail("Too much is under way: try again in a minute.");
            let outcome = match command {
                Command::Ask => Outcome::Agent(Err("the console is busy".to_owned())),
                _ => Outcome::Lines(vec![busy]),
            };
            self.commands.spawn(async move { (ticket, outcome) });
            return;
        }
        let world = Arc::clone(&self.world);
        let steps = Steps::new(ticket, self.steps.clone());
        self.commands
            .spawn(async move { (ticket, execute::execute(command, world, steps).await) });
    }
}

fn failed(ticket: u64) -> Event {
    Event::Done {
        ticket,
        outcome: Outcome::Lines(vec![Line::fail("This ended by a defect of the console.")]),
    }
}
