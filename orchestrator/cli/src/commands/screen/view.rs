//! The model as a screen: alarms, runs, drones, events, from top to bottom. A small terminal shows less of each.

use super::model::{Model, Over, Pane};
use crate::commands::bars::pace;
use crate::commands::drone::doing;
use crate::commands::event;
use crate::commands::run::resolving;
use crate::output::printable;
use crate::table::{age, count, moment, size, span};
use chrono::{DateTime, TimeDelta, Utc};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use std::time::Duration;
use swarm_protocol::admin::{Counts, Drone, RunStatus, TargetStatus, Work};
use swarm_protocol::state::{AttemptPhase, DroneState, RunState};

/// Cells of a bar.
const BAR: u32 = 20;
/// Of the height, at most, for alarms.
const ALARMS: u16 = 6;

const HELP: &str = "\
Tab, ← →    from pane to pane
↑ ↓         from line to line
Enter       why: of a drone, of a quarantined package, of an event's package
Esc         puts this away
q           ends

Bars of runs are packages received of all; bars of drones are the time since the
build began, of the time that it is expected to take.";

/// Draws it. `silence` is how long ago the swarm has answered.
pub(super) fn draw(frame: &mut Frame, model: &Model, silence: Duration) {
    let status = &model.status;
    // Times go on while nothing is heard.
    let now = status.now + TimeDelta::from_std(silence).unwrap_or_default();
    let alarms: Vec<_> =
        status.degraded.iter().map(|alarm| plain(&printable(alarm)).fg(Color::Red)).collect();
    let runs: Vec<_> = status.runs.iter().flat_map(|run| of_run(run, now)).collect();
    let drones: Vec<_> = status.drones.iter().map(|drone| of_drone(drone, now)).collect();
    let events: Vec<_> = model.events.iter().map(|event| plain(&printable(&event::line(event)))).collect();

    let rows = |lines: usize| u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2);
    let alarmed = if alarms.is_empty() { 0 } else { rows(alarms.len()).min(ALARMS) };
    let [head, alarm, targets, run, drone, event, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(alarmed),
        Constraint::Length(u16::try_from(status.targets.len()).unwrap_or(u16::MAX).min(4)),
        Constraint::Max(rows(runs.len().max(1))),
        Constraint::Max(rows(drones.len().max(1))),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(model, now, silence), head);
    if alarmed > 0 {
        frame.render_widget(
            Paragraph::new(alarms).wrap(Wrap { trim: true }).block(titled("Alarms", false)),
            alarm,
        );
    }
    let known: Vec<_> = status.targets.iter().map(|target| of_target(target, now)).collect();
    frame.render_widget(Paragraph::new(known), targets);
    pane(frame, run, model, Pane::Runs, "Open runs", runs, "No run is open.");
    pane(frame, drone, model, Pane::Drones, &heading(&status.drones), drones, "There is no drone yet.");
    pane(frame, event, model, Pane::Events, "Events", events, "Nothing has happened since.");
    frame.render_widget(plain(" q quit   Tab pane   ↑↓ line   Enter why   ? help").dim(), foot);
    match &model.over {
        Some(Over::Help) => over(frame, "Help", HELP),
        Some(Over::Asking) => over(frame, "Why", "The swarm is asked …"),
        Some(Over::Text(text)) => over(frame, "Why", text),
        None => {}
    }
}

fn plain(text: &str) -> Line<'static> {
    Line::from(text.replace('\n', " "))
}

fn header(model: &Model, now: DateTime<Utc>, silence: Duration) -> Line<'static> {
    let title = Span::styled(" Build Swarm ", Style::new().add_modifier(Modifier::BOLD));
    let time = Span::raw(format!(" {} UTC ", moment(now)));
    let state = match &model.trouble {
        Some(why) => {
            let since = moment(now - TimeDelta::from_std(silence).unwrap_or_default());
            let text =
                format!(" not reached since {since} ({}): {} ", span(silence.as_secs()), printable(why));
            Span::styled(text, Style::new().fg(Color::White).bg(Color::Red))
        }
        None if model.status.degraded.is_empty() => {
            Span::styled(" all is well", Style::new().fg(Color::Green))
        }
        None => {
            let alarms = count(i64::try_from(model.status.degraded.len()).unwrap_or(i64::MAX), "alarm");
            Span::styled(format!(" {alarms}"), Style::new().fg(Color::Red))
        }
    };
    Line::from(vec![title, time, state])
}

fn titled(title: &str, focused: bool) -> Block<'static> {
    let style = if focused { Style::new().fg(Color::Cyan) } else { Style::new() };
    Block::bordered().title(format!(" {title} ")).border_style(style)
}

/// A bordered list around its chosen line.
fn pane(
    frame: &mut Frame,
    area: Rect,
    model: &Model,
    pane: Pane,
    title: &str,
    lines: Vec<Line<'static>>,
    empty: &str,
) {
    let focused = model.pane == pane;
    let lines = if lines.is_empty() { vec![plain(empty).dim()] } else { lines };
    let chosen = model.chosen(pane);
    let height = usize::from(area.height.saturating_sub(2));
    let first = (chosen + 1).saturating_sub(height);
    let shown = lines.into_iter().enumerate().skip(first).map(|(number, line)| {
        if focused && number == chosen {
            line.patch_style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        }
    });
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()).block(titled(title, focused)), area);
}

fn over(frame: &mut Frame, title: &str, text: &str) {
    let area = frame.area();
    let inner = Rect {
        x: area.x + area.width / 12,
        y: area.y + area.height / 8,
        width: area.width - area.width / 6,
        height: area.height - area.height / 4,
    };
    frame.render_widget(Clear, inner);
    frame.render_widget(
        Paragraph::new(text.to_owned()).wrap(Wrap { trim: false }).block(titled(title, true)),
        inner,
    );
}

fn of_target(target: &TargetStatus, now: DateTime<Utc>) -> Line<'static> {
    let current = match (target.current, target.promoted_at) {
        (Some(number), Some(at)) => format!("generation {number} since {}", age(now, at)),
        _ => "no generation yet".to_owned(),
    };
    plain(&format!(" {}: {current}", target.name))
}

/// A run in a line, and its quarantined packages each in another: [`Model`] counts them so.
fn of_run(status: &RunStatus, now: DateTime<Utc>) -> Vec<Line<'static>> {
    let RunStatus { run, quarantined } = status;
    let Counts { total, needed, ready, delegated, received, blocked, .. } = run.counts;
    let head =
        format!("{:>5} {:14} {:10} ", run.id.to_string(), run.target.to_string(), run.state.to_string());
    let rest = if let Some(resolving) = resolving(run) {
        format!("resolver: {}", printable(&resolving))
    } else {
        let pace = (run.state == RunState::Building).then(|| pace(run, now)).flatten();
        let pace = pace.map(|pace| format!(", {pace}")).unwrap_or_default();
        format!(
            "{} {received}/{total} received{pace}; {needed} needed ({ready} ready), {delegated} delegated, \
             {blocked} blocked, {} quarantined",
            bar(ratio(received, total)),
            run.counts.quarantined
        )
    };
    let color = match run.state {
        RunState::Frozen => Color::Red,
        RunState::Resolving => Color::Blue,
        _ => Color::Reset,
    };
    let mut lines = vec![plain(&format!("{head}{rest}")).fg(color)];
    lines.extend(quarantined.iter().map(|one| {
        let behind =
            if one.blocks > 0 { format!(", {} blocked behind it", one.blocks) } else { String::new() };
        let reason = printable(one.reason.as_deref().unwrap_or("no reason is known"));
        plain(&format!("      quarantined {}{behind}: {reason}", one.cpv)).fg(Color::Yellow)
    }));
    lines
}

fn heading(drones: &[Drone]) -> String {
    let working = drones.iter().filter(|drone| !drone.work.is_empty()).count();
    format!("Drones: {working} of {} at work", drones.len())
}

fn of_drone(drone: &Drone, now: DateTime<Utc>) -> Line<'static> {
    let building = drone.work.iter().find(|work| work.phase == AttemptPhase::Building);
    let progress = building.map_or_else(|| " ".repeat(BAR as usize + 2), |work| bar(elapsed(work, now)));
    let memory = drone.memory_free_bytes.map(|bytes| format!("{} free", size(bytes))).unwrap_or_default();
    let text = format!(
        "{:20} {:9} {progress} {:14} {}",
        printable(&drone.name),
        drone.state,
        memory,
        printable(&doing(drone, now))
    );
    let color = match drone.state {
        DroneState::Grounded => Color::Red,
        DroneState::Offline => Color::DarkGray,
        DroneState::Draining => Color::Yellow,
        DroneState::Online => Color::Reset,
    };
    plain(&text).fg(color)
}

/// Of the time that a build is expected to take.
fn elapsed(work: &Work, now: DateTime<Utc>) -> f64 {
    let since = work.started_at.unwrap_or(work.claimed_at);
    let seconds = (now - since).to_std().unwrap_or_default().as_secs_f64();
    if work.estimate_seconds > 0.0 { seconds / work.estimate_seconds } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts of packages")]
fn ratio(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and BAR")]
fn bar(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * f64::from(BAR)) as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(BAR as usize - full))
}

#[cfg(test)]
mod tests {
    use super::super::model::{Key, Looked};
    use super::*;
    use crate::commands::sample;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn model() -> Model {
        let looked = || Looked { status: sample::status(), events: sample::events() };
        let mut model = Model::new(looked());
        model.looked(looked());
        model
    }

    fn drawn(model: &Model, silence: u64, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model, Duration::from_secs(silence))).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_whole_swarm() {
        insta::assert_snapshot!(drawn(&model(), 0, (140, 32)));
    }

    #[test]
    fn an_orchestrator_that_is_not_reached_while_time_goes_on() {
        let mut model = model();
        model.not_reached("connection refused".to_owned());
        let shown = drawn(&model, 75, (110, 24));
        assert!(
            shown.contains("not reached since") && shown.contains("(1m 15s): connection refused"),
            "{shown}"
        );
        assert!(
            shown.contains("for 4m 34s of about 5m 12s") || shown.contains("builds app-arch/pigz-2.8"),
            "{shown}"
        );
    }

    #[test]
    fn help_and_an_answer_lie_over_it() {
        let mut model = model();
        model.pressed(Key::Help);
        insta::assert_snapshot!(drawn(&model, 0, (100, 24)));
        model.pressed(Key::Close);
        model.pressed(Key::NextPane);
        model.pressed(Key::Enter);
        assert!(drawn(&model, 0, (100, 24)).contains("The swarm is asked"));
        model.told("dev-lang/rust-1.85: it is ready.".to_owned());
        assert!(drawn(&model, 0, (100, 24)).contains("it is ready"));
    }

    #[test]
    fn a_new_swarm_and_a_tiny_terminal() {
        let status = swarm_protocol::admin::Status {
            targets: vec![],
            runs: vec![],
            drones: vec![],
            degraded: vec![],
            ..sample::status()
        };
        let new = Model::new(Looked { status, events: sample::events() });
        insta::assert_snapshot!(drawn(&new, 0, (80, 16)));
        for size in [(1, 1), (20, 5), (40, 9)] {
            drawn(&model(), 0, size);
        }
    }

    #[test]
    fn markup_of_others_steers_nothing() {
        let mut model = model();
        model.status.drones[0].name = "a\u{1b}[2Jb".to_owned();
        assert!(!drawn(&model, 0, (120, 30)).contains('\u{1b}'));
    }
}
