//! What the screen knows, and what a person looks at on it.

use std::collections::VecDeque;
use swarm_protocol::admin::{Event, Events, Status};
use swarm_protocol::id::PackageId;

/// How many events are kept: more than the tallest terminal shows.
const EVENTS: usize = 200;

/// An answer of the swarm's.
pub(super) struct Looked {
    pub(super) status: Status,
    pub(super) events: Events,
}

/// A key, as it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Help,
    Close,
    Enter,
    NextPane,
    FormerPane,
    Up,
    Down,
    /// The terminal has another size.
    Redraw,
}

/// What is to be done after a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Quit,
    /// Ask the swarm, and show what it says.
    Ask(Asked),
}

/// Why it is as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Drone(String),
    Package(PackageId),
}

/// A part of the screen in which a line can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    /// Open runs, each followed by its quarantined packages.
    Runs,
    Drones,
    Events,
}

const PANES: [Pane; 3] = [Pane::Runs, Pane::Drones, Pane::Events];

/// What lies over the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Help,
    /// The swarm is asked.
    Asking,
    Text(String),
}

/// All of it.
pub(super) struct Model {
    pub(super) status: Status,
    /// The newest first.
    pub(super) events: VecDeque<Event>,
    /// Behind the newest.
    pub(super) cursor: String,
    /// Why the last look failed.
    pub(super) trouble: Option<String>,
    pub(super) pane: Pane,
    chosen: [usize; PANES.len()],
    pub(super) over: Option<Over>,
}

impl Model {
    pub(super) fn new(first: Looked) -> Self {
        let Looked { status, events } = first;
        Self {
            status,
            cursor: events.cursor,
            events: VecDeque::new(),
            trouble: None,
            pane: Pane::Runs,
            chosen: [0; PANES.len()],
            over: None,
        }
    }

    /// The swarm has answered.
    pub(super) fn looked(&mut self, looked: Looked) {
        self.status = looked.status;
        self.cursor = looked.events.cursor;
        let arrived = looked.events.events.len();
        for event in looked.events.events {
            self.events.push_front(event);
        }
        self.events.truncate(EVENTS);
        // Whoever has chosen an event keeps it; who has not sees the newest.
        let chosen = &mut self.chosen[Pane::Events as usize];
        if *chosen > 0 {
            *chosen += arrived;
        }
        self.trouble = None;
    }

    /// It has not.
    pub(super) fn not_reached(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// What was asked for. Who has put the question away wants no answer.
    pub(super) fn told(&mut self, text: String) {
        if self.over == Some(Over::Asking) {
            self.over = Some(Over::Text(text));
        }
    }

    /// The line that is chosen in a pane, among those that there are.
    pub(super) fn chosen(&self, pane: Pane) -> usize {
        self.chosen[pane as usize].min(self.lines(pane).saturating_sub(1))
    }

    fn lines(&self, pane: Pane) -> usize {
        match pane {
            Pane::Runs => self.status.runs.iter().map(|run| 1 + run.quarantined.len()).sum(),
            Pane::Drones => self.status.drones.len(),
            Pane::Events => self.events.len(),
        }
    }

    /// A key was pressed.
    pub(super) fn pressed(&mut self, key: Key) -> Next {
        if key == Key::Quit {
            return Next::Quit;
        }
        if self.over.is_some() {
            // Any key puts it away; what the key would do on the screen below, nobody sees.
            if key != Key::Redraw {
                self.over = None;
            }
            return Next::Go;
        }
        let pane = self.pane as usize;
        match key {
            Key::Help => self.over = Some(Over::Help),
            Key::NextPane => self.pane = PANES[(pane + 1) % PANES.len()],
            Key::FormerPane => self.pane = PANES[(pane + PANES.len() - 1) % PANES.len()],
            Key::Up => self.chosen[pane] = self.chosen(self.pane).saturating_sub(1),
            Key::Down => {
                let last = self.lines(self.pane).saturating_sub(1);
                self.chosen[pane] = (self.chosen(self.pane) + 1).min(last);
            }
            Key::Enter => {
                let Some(asked) = self.asked() else { return Next::Go };
                self.over = Some(Over::Asking);
                return Next::Ask(asked);
            }
            Key::Quit | Key::Close | Key::Redraw => {}
        }
        Next::Go
    }

    /// What can be asked about the chosen line.
    fn asked(&self) -> Option<Asked> {
        let chosen = self.chosen(self.pane);
        match self.pane {
            Pane::Runs => {
                let lines = self.status.runs.iter().flat_map(|run| {
                    let quarantined = run.quarantined.iter().map(|one| Some(Asked::Package(one.package)));
                    std::iter::once(None).chain(quarantined)
                });
                lines.into_iter().nth(chosen)?
            }
            Pane::Drones => self.status.drones.get(chosen).map(|drone| Asked::Drone(drone.name.clone())),
            Pane::Events => self.events.get(chosen)?.package.map(Asked::Package),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    fn looked() -> Looked {
        Looked { status: sample::status(), events: sample::events() }
    }

    #[test]
    fn what_enter_asks_about() {
        let mut model = Model::new(looked());
        assert_eq!(model.pressed(Key::Enter), Next::Go, "a run is not asked about");
        while model.asked().is_none() {
            let before = model.chosen(Pane::Runs);
            model.pressed(Key::Down);
            assert!(model.chosen(Pane::Runs) > before, "no quarantined package");
        }
        assert_eq!(model.pressed(Key::Enter), Next::Ask(Asked::Package(PackageId(24))));
        assert_eq!(
            (model.pressed(Key::Close), &model.over),
            (Next::Go, &None),
            "a key puts the question away"
        );
        model.told("late".to_owned());
        assert_eq!(model.over, None, "and with it the answer");
        model.pressed(Key::NextPane);
        assert_eq!(model.pressed(Key::Enter), Next::Ask(Asked::Drone("ant".to_owned())));
        model.told("because".to_owned());
        assert_eq!((model.pressed(Key::Enter), &model.over), (Next::Go, &None), "a key puts the answer away");
        model.pressed(Key::FormerPane);
        assert_eq!(model.pane, Pane::Runs);
        assert_eq!(model.pressed(Key::Quit), Next::Quit);
    }

    #[test]
    fn a_chosen_event_stays_chosen_while_others_come() {
        let mut model = Model::new(looked());
        model.looked(looked());
        model.pane = Pane::Events;
        assert_eq!(model.chosen(Pane::Events), 0);
        model.pressed(Key::Down);
        let id = model.events[1].id;
        model.looked(looked());
        assert_eq!(model.events[model.chosen(Pane::Events)].id, id);
        for _ in 0..100 {
            model.looked(looked());
        }
        assert_eq!(model.events.len(), EVENTS);
        assert!(model.chosen(Pane::Events) < EVENTS);
    }

    #[test]
    fn what_is_gone_is_no_longer_chosen() {
        let mut model = Model::new(looked());
        model.pane = Pane::Drones;
        (0..9).for_each(|_| drop(model.pressed(Key::Down)));
        assert_eq!(model.chosen(Pane::Drones), model.status.drones.len() - 1);
        model.status.drones.truncate(1);
        assert_eq!(model.chosen(Pane::Drones), 0);
        model.status.drones.clear();
        assert_eq!((model.chosen(Pane::Drones), model.pressed(Key::Enter)), (0, Next::Go));
    }
}
