//! The search: every situation that a scenario can come to, each once, by as few preemptions as lead to it.
//!
//! Bounding preemptions and nothing else finds most of what interleavings can break in a small part of them
//! (Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007).

use std::collections::VecDeque;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::scenario::{Bounds, Scenario};
use crate::steps::{Choice, Situation, Steps};
use crate::table::Map;
use crate::universe::Universe;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Explored {
    /// Distinct situations, each checked.
    pub(crate) states: usize,
    /// Runs from beginning to end that lead through them.
    pub(crate) runs: f64,
}

impl AddAssign for Explored {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.runs += other.runs;
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {:.2e} runs", self.states, self.runs)
    }
}

/// A run that breaks a promise.
#[derive(Debug)]
pub(crate) struct Broken {
    scenario: String,
    pub(crate) path: Vec<String>,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.scenario, self.what)?;
        self.path.iter().enumerate().try_for_each(|(index, step)| writeln!(f, "  {:2}. {step}", index + 1))
    }
}

/// Explores scenarios, as many at once as there are processors. The first one that breaks is told.
pub(crate) fn explore_all(scenarios: &[Scenario], bounds: Bounds) -> Result<Explored, Broken> {
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Ok(Explored::default()));
    let work = || {
        let mut universe = Universe::new(None);
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            let explored = explore(scenario, bounds, &mut universe);
            let mut total = total.lock().unwrap();
            match (&mut *total, explored) {
                (Ok(total), Ok(explored)) => *total += explored,
                (Ok(_), Err(broken)) => *total = Err(broken),
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    total.into_inner().unwrap()
}

/// Explores one scenario. Without a bound on preemptions, what breaks is found by its shortest run.
pub(crate) fn explore(scenario: &Scenario, bounds: Bounds, universe: &mut Universe) -> Result<Explored, Broken> {
    let mut steps = Steps { scenario, bounds, universe };
    let mut search = Search::default();
    let start = steps.start();
    search.reach(start, 0, None);
    while let Some((index, preemptions)) = search.next() {
        let now = search.found[index as usize].situation;
        let broken = |what, last| (what, index, last);
        let expanded = (|| {
            let choices = steps.choices(&now).map_err(|what| broken(what, None))?;
            steps.check_end(&now).map_err(|what| broken(what, None))?;
            search.begin_expanding(index);
            for (choice, is_preemption) in choices {
                let preemptions = preemptions + u32::from(is_preemption);
                if bounds.preemptions.is_some_and(|most| preemptions > most) {
                    continue;
                }
                let then = steps.take(&now, choice).map_err(|what| broken(what, Some(choice)))?;
                let reached = search.reach(then, preemptions, Some((index, choice)));
                search.edges.push((reached, is_preemption));
            }
            search.end_expanding(index);
            Ok(())
        })();
        if let Err((what, index, last)) = expanded {
            let path = search.path(index, last).into_iter().map(|(now, choice)| steps.describe(&now, choice));
            return Err(Broken { scenario: scenario.to_string(), path: path.collect(), what });
        }
    }
    Ok(Explored { states: search.found.len(), runs: search.runs(bounds) })
}

#[derive(Default)]
struct Search {
    found: Vec<Found>,
    by_situation: Map<Situation, u32>,
    /// What is yet to be expanded, by how many preemptions lead to it.
    queues: Vec<VecDeque<u32>>,
    /// What each situation leads to, and whether by a preemption.
    edges: Vec<(u32, bool)>,
}

struct Found {
    situation: Situation,
    preemptions: u32,
    parent: Option<(u32, Choice)>,
    /// Where its edges are, once it is expanded.
    edges: Option<(usize, usize)>,
}

impl Search {
    /// The number of a situation, to be expanded if it is new, or was reached by more preemptions.
    fn reach(&mut self, situation: Situation, preemptions: u32, parent: Option<(u32, Choice)>) -> u32 {
        let fresh = u32::try_from(self.found.len()).unwrap();
        let index = *self.by_situation.entry(situation).or_insert(fresh);
        if index == fresh {
            self.found.push(Found { situation, preemptions, parent, edges: None });
        } else if preemptions < self.found[index as usize].preemptions {
            let found = &mut self.found[index as usize];
            (found.preemptions, found.parent) = (preemptions, parent);
        } else {
            return index;
        }
        while self.queues.len() <= preemptions as usize {
            self.queues.push(VecDeque::new());
        }
        self.queues[preemptions as usize].push_back(index);
        index
    }

    /// What is to be expanded next: of what few preemptions lead to, the first that was found.
    fn next(&mut self) -> Option<(u32, u32)> {
        let (preemptions, index) =
            (0u32..).zip(&mut self.queues).find_map(|(preemptions, queue)| Some((preemptions, queue.pop_front()?)))?;
        if self.found[index as usize].edges.is_some() { self.next() } else { Some((index, preemptions)) }
    }

    fn begin_expanding(&mut self, index: u32) {
        self.found[index as usize].edges = Some((self.edges.len(), self.edges.len()));
    }

    fn end_expanding(&mut self, index: u32) {
        let end = self.edges.len();
        if let Some(edges) = &mut self.found[index as usize].edges {
            edges.1 = end;
        }
    }

    /// How a situation was reached, and what was chosen there.
    fn path(&self, index: u32, last: Option<Choice>) -> Vec<(Situation, Choice)> {
        let mut path: Vec<_> = last.map(|choice| (self.found[index as usize].situation, choice)).into_iter().collect();
        let mut child = index;
        while let Some((parent, choice)) = self.found[child as usize].parent {
            path.push((self.found[parent as usize].situation, choice));
            child = parent;
        }
        path.reverse();
        path
    }

    /// How many runs there are within the bounds.
    fn runs(&self, bounds: Bounds) -> f64 {
        let most = bounds.preemptions.unwrap_or(0) as usize;
        let mut known = vec![None; self.found.len() * (most + 1)];
        self.count(0, most, most, &mut known)
    }

    /// How many runs end beneath a situation with so many preemptions left. One that comes back to it, as by waiting in vain, is no further run.
    fn count(&self, index: u32, left: usize, most: usize, known: &mut [Option<f64>]) -> f64 {
        let place = index as usize * (most + 1) + left;
        if let Some(known) = known[place] {
            return known;
        }
        known[place] = Some(0.0);
        let (from, to) = self.found[index as usize].edges.unwrap_or_default();
        let beneath = |&(child, is_preemption): &(u32, bool)| {
            if is_preemption && most > 0 {
                left.checked_sub(1).map_or(0.0, |left| self.count(child, left, most, known))
            } else {
                self.count(child, left, most, known)
            }
        };
        let runs = if from == to { 1.0 } else { self.edges[from..to].iter().map(beneath).sum() };
        known[place] = Some(runs);
        runs
    }
}
