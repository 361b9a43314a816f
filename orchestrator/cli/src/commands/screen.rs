//! `swarm watch`: the whole swarm on a full screen, as it changes.
//!
//! Everything on it comes from two calls, made anew each second: the status, and the events since the last cursor. So a
//! restart of the orchestrator costs nothing but the time until it answers again, and the screen says for how long it has
//! not.
//!
//! | module | what |
//! |---|---|
//! | [`model`] | what is known and what is looked at; keys and answers change it. Pure |
//! | [`view`] | the model as a screen. Pure |

mod model;
mod view;

use super::why;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printable;
use model::{Asked, Key, Looked, Model, Next};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io::{self, IsTerminal};
use std::time::Duration;
use swarm_protocol::client::AdminClient;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take before the screen says that there is none.
const ANSWER: Duration = Duration::from_secs(5);

/// `swarm watch`.
pub(crate) async fn watch(context: &Context) -> Result<Exit, Failure> {
    if context.output.is_json() || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "`swarm watch` fills a terminal, and this is none; `swarm status` says the same once, and \
             `swarm events --follow` says what happens line by line",
        ));
    }
    // What is wrong from the beginning, a token for instance, is said in words and not on a screen.
    let first = context.ask(look(&context.client, "now".to_owned(), Duration::ZERO)).await?;
    // A panic restores the terminal as well: `try_init` sees to that.
    let mut terminal = ratatui::try_init().map_err(|error| unusable(&error))?;
    let ended = follow(context, &mut terminal, first).await;
    ratatui::try_restore().map_err(|error| unusable(&error))?;
    ended
}

fn unusable(error: &io::Error) -> Failure {
    Failure::internal(format!("the terminal cannot be used: {error}"))
}

async fn follow(context: &Context, terminal: &mut DefaultTerminal, first: Looked) -> Result<Exit, Failure> {
    let client = &context.client;
    let mut model = Model::new(first);
    let mut answered = Instant::now();
    let mut keys = keys();
    let mut stops = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(terminate), Ok(hangup)] = &mut stops else {
        return Err(Failure::internal("cannot wait for signals"));
    };
    let mut looking =
        Box::pin(tokio::time::timeout(ANSWER + PAUSE, look(client, model.cursor.clone(), PAUSE)));
    let mut clock = tokio::time::interval(PAUSE);
    let mut asking = None;
    loop {
        let silence = answered.elapsed();
        terminal.draw(|frame| view::draw(frame, &model, silence)).map_err(|error| unusable(&error))?;
        let next = tokio::select! {
            key = keys.recv() => match key {
                Some(key) => model.pressed(key),
                None => Next::Quit,
            },
            looked = &mut looking => {
                match looked {
                    Ok(Ok(looked)) => {
                        answered = Instant::now();
                        model.looked(looked);
                    }
                    Ok(Err(error)) => model.not_reached(Failure::from(error).sentence()),
                    Err(_) => model.not_reached("it does not answer".to_owned()),
                }
                let next = look(client, model.cursor.clone(), PAUSE);
                looking = Box::pin(tokio::time::timeout(ANSWER + PAUSE, next));
                Next::Go
            }
            text = told(&mut asking) => {
                asking = None;
                model.told(printable(&text));
                Next::Go
            }
            _ = clock.tick() => Next::Go,
            _ = terminate.recv() => Next::Quit,
            _ = hangup.recv() => Next::Quit,
        };
        match next {
            Next::Go => {}
            Next::Quit => return Ok(Exit::Ok),
            // The former answer, if it is still on its way, is for a question that was put away.
            Next::Ask(asked) => asking = Some(Box::pin(answer(context, asked))),
        }
    }
}

/// What is new, after a pause.
async fn look(
    client: &AdminClient,
    cursor: String,
    pause: Duration,
) -> Result<Looked, swarm_protocol::client::ClientError> {
    tokio::time::sleep(pause).await;
    let status = client.status(None).await?;
    let events = client.events(&cursor).await?;
    Ok(Looked { status, events })
}

/// The answer, if there is a question.
async fn told(asking: &mut Option<impl Future<Output = String> + Unpin>) -> String {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// What the swarm says, or why it says nothing.
async fn answer(context: &Context, asked: Asked) -> String {
    let call = async {
        match asked {
            Asked::Drone(name) => context.client.why_drone(&name).await,
            Asked::Package(id) => context.client.why_package(id).await,
        }
    };
    match tokio::time::timeout(ANSWER, call).await {
        Ok(Ok(why)) => why::shown(&why),
        Ok(Err(error)) => Failure::from(error).sentence(),
        Err(_) => "the orchestrator does not answer".to_owned(),
    }
}

/// The keys that are pressed, from a thread of their own: reading a terminal blocks. It ends with the process.
fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let key = match event {
                event::Event::Key(key) if key.kind != KeyEventKind::Release => meant(key),
                event::Event::Resize(..) => Some(Key::Redraw),
                _ => None,
            };
            if let Some(key) = key
                && sender.blocking_send(key).is_err()
            {
                break;
            }
        }
    });
    receiver
}

fn meant(key: KeyEvent) -> Option<Key> {
    Some(match key.code {
        // In raw mode the terminal sends no signal for it.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
        KeyCode::Char('q') => Key::Quit,
        KeyCode::Char('?') => Key::Help,
        KeyCode::Esc => Key::Close,
        KeyCode::Enter => Key::Enter,
        KeyCode::Tab | KeyCode::Right => Key::NextPane,
        KeyCode::BackTab | KeyCode::Left => Key::FormerPane,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        _ => return None,
    })
}
