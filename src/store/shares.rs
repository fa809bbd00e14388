//! Who gets the next place: a pure rule over who waits and who is at work. The queue asks it before it claims anything.
//!
//! * Urgent work first, but a quarter of the places (of all, and of each lane) goes to routine work as long as some waits.
//! * Within that, the organization with the fewest places gets the next one: shares are of all places, not of the free ones,
//!   so that who is slow to give places back does not come to own them all.
//! * An organization may take nearly everything while it is alone. The last places, the reserve, are for those who have few or
//!   none, so that a newcomer begins at once however long the others hold theirs.
//! * A lane (one relay) holds no more places than it can carry messages at a time: nobody waits for a relay in a place that
//!   another relay's messages could have. While most places are free it may hold twice as many: the next messages are made
//!   while those before them are on the wire.
//!
//! Only what is asked for by nobody stays free.

use std::collections::{HashMap, HashSet};

use crate::domain::order::Priority;

/// How many deliveries may be at work at a time, and by which way.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// All there are.
    pub all: usize,
    /// Of these, kept for organizations that have few or none.
    pub reserve: usize,
    /// How many messages a lane carries at a time; one that is not named has no limit.
    pub limits: HashMap<String, usize>,
}

impl Places {
    /// `all` places with the usual reserve: an eighth, and none where that would take too much.
    #[must_use]
    pub fn new(all: usize, limits: HashMap<String, usize>) -> Self {
        Self { all, reserve: if all < 4 { 0 } else { (all / 8).max(1) }, limits }
    }
}

/// What is kept from urgent work while routine work waits.
const fn quarter(places: usize) -> usize {
    match places {
        0 | 1 => 0,
        2..8 => 1,
        _ => places / 4,
    }
}

/// A place that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) org: String,
    pub(super) lane: String,
    pub(super) priority: Priority,
}

/// Somebody who waits for places.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) seat: Seat,
    /// Places given to it and not used yet.
    pub(super) granted: usize,
    /// It may have more to do than it has got.
    pub(super) open: bool,
    org: usize,
    lane: usize,
    /// Whose turn it is among those who have the same.
    turn: usize,
}

/// Places taken by one organization or in one lane.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    places: usize,
    urgent: usize,
}

#[derive(Debug)]
pub(super) struct Shares {
    pub(super) asks: Vec<Ask>,
    all: usize,
    reserve: usize,
    /// What an organization may have before the reserve is closed to it.
    fair: usize,
    total: Taken,
    orgs: Vec<Taken>,
    lanes: Vec<(Taken, Option<usize>)>,
}

impl Shares {
    /// `asking` wait and `seats` are taken. With `alone`, nobody else could come. `turn` says who is first among equals.
    pub(super) fn new(places: &Places, asking: Vec<Seat>, seats: &[Seat], alone: bool, turn: usize) -> Self {
        let (mut orgs, mut lanes) = (Numbers::default(), Numbers::default());
        let order: HashSet<&str> = asking.iter().map(|seat| seat.org.as_str()).collect();
        let mut waiting: Vec<&str> = order.into_iter().collect();
        waiting.sort_unstable();
        let after: HashMap<String, usize> = (0..waiting.len())
            .map(|place| (waiting[place].to_owned(), (place + waiting.len() - turn % waiting.len()) % waiting.len()))
            .collect();
        let asks: Vec<Ask> = asking
            .into_iter()
            .map(|seat| Ask {
                granted: 0,
                open: true,
                org: orgs.of(&seat.org),
                lane: lanes.of(&seat.lane),
                turn: after.get(&seat.org).copied().unwrap_or(0),
                seat,
            })
            .collect();
        let taken: Vec<(usize, usize, Priority)> =
            seats.iter().map(|seat| (orgs.of(&seat.org), lanes.of(&seat.lane), seat.priority)).collect();
        let mut shares = Self {
            asks,
            all: places.all,
            reserve: if alone { 0 } else { places.reserve },
            fair: places.all / (orgs.0.len() + 1),
            total: Taken::default(),
            orgs: vec![Taken::default(); orgs.0.len()],
            lanes: lanes.in_order().map(|lane| (Taken::default(), places.limits.get(lane).copied())).collect(),
        };
        for (org, lane, priority) in taken {
            shares.count(org, lane, priority, 1);
        }
        shares
    }

    /// Grants places one after the other until none is left or nobody may have more. Returns how many that were.
    pub(super) fn deal(&mut self) -> usize {
        let mut dealt = 0;
        while let Some(place) = self.next() {
            let ask = &mut self.asks[place];
            ask.granted += 1;
            let (org, lane, priority) = (ask.org, ask.lane, ask.seat.priority);
            self.count(org, lane, priority, 1);
            dealt += 1;
        }
        dealt
    }

    /// So many of its granted places were used: with fewer than granted, there is no more to do for it.
    pub(super) fn used(&mut self, place: usize, used: usize) {
        let ask = &mut self.asks[place];
        let unused = ask.granted.saturating_sub(used);
        ask.granted = 0;
        ask.open &= unused == 0;
        let (org, lane, priority) = (ask.org, ask.lane, ask.seat.priority);
        for _ in 0..unused {
            self.count(org, lane, priority, -1);
        }
    }

    /// Whether somebody would have got more if there were more places.
    pub(super) fn leaves_waiting(&self) -> bool {
        self.asks.iter().any(|ask| ask.open)
    }

    fn count(&mut self, org: usize, lane: usize, priority: Priority, by: isize) {
        let urgent = if priority == Priority::Urgent { by } else { 0 };
        for taken in [&mut self.total, &mut self.orgs[org], &mut self.lanes[lane].0] {
            taken.places = taken.places.saturating_add_signed(by);
            taken.urgent = taken.urgent.saturating_add_signed(urgent);
        }
    }

    /// Who gets the next place.
    fn next(&self) -> Option<usize> {
        let mut routine_waits = vec![false; self.lanes.len()];
        for ask in self.asks.iter().filter(|ask| ask.seat.priority == Priority::Routine && self.fits(ask)) {
            routine_waits[ask.lane] = true;
        }
        let any_routine = routine_waits.contains(&true);
        let candidates = self.asks.iter().enumerate().filter(|(_, ask)| {
            let yields =
                ask.seat.priority == Priority::Urgent && self.is_urgent_enough(ask.lane, any_routine, routine_waits[ask.lane]);
            self.fits(ask) && !yields
        });
        let next = candidates.min_by_key(|(_, ask)| {
            (ask.seat.priority != Priority::Urgent, self.orgs[ask.org].places, ask.turn, self.lanes[ask.lane].0.places)
        });
        next.map(|(place, _)| place)
    }

    /// Whether urgent work has its three quarters already, and routine work waits for the rest.
    fn is_urgent_enough(&self, lane: usize, any_routine: bool, routine_in_lane: bool) -> bool {
        let (taken, limit) = self.lanes[lane];
        // The reserve is for newcomers: what is kept for routine work is kept of the rest.
        (any_routine && self.total.urgent >= self.all.saturating_sub(self.reserve + quarter(self.all)))
            || (routine_in_lane && limit.is_some_and(|limit| taken.urgent >= limit - quarter(limit)))
    }

    fn fits(&self, ask: &Ask) -> bool {
        let free = self.all.saturating_sub(self.total.places);
        let mine = self.orgs[ask.org].places;
        let may = match mine {
            _ if self.reserve == 0 => free > 0,
            0 => free > 0,
            few if few < self.fair => free > 1,
            _ => free > self.reserve,
        };
        let (in_lane, limit) = self.lanes[ask.lane];
        let room =
            limit.is_none_or(|limit| in_lane.places < limit || (in_lane.places < limit.saturating_mul(2) && free > self.all / 2));
        ask.open && may && room
    }
}

/// Numbers for names, from 0 in the order they come.
#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Numbers {
    fn of(&mut self, name: &str) -> usize {
        let next = self.0.len();
        if let Some(known) = self.0.get(name) {
            return *known;
        }
        self.0.insert(name.to_owned(), next);
        next
    }

    fn in_order(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<_> = self.0.iter().collect();
        names.sort_unstable_by_key(|(_, number)| **number);
        names.into_iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use Priority::{Routine, Urgent};
    use proptest::prelude::*;

    use super::*;

    fn seat(org: &str, lane: &str, priority: Priority) -> Seat {
        Seat { org: org.into(), lane: lane.into(), priority }
    }

    fn places(all: usize, limits: &[(&str, usize)]) -> Places {
        Places::new(all, limits.iter().map(|(lane, limit)| ((*lane).to_owned(), *limit)).collect())
    }

    /// How many places each of `asking` gets when all have endless work.
    fn granted(places: &Places, asking: &[Seat], seats: &[Seat]) -> Vec<usize> {
        let mut shares = Shares::new(places, asking.to_vec(), seats, false, 0);
        shares.deal();
        shares.asks.iter().map(|ask| ask.granted).collect()
    }

    #[test]
    fn who_is_alone_gets_nearly_everything_and_a_newcomer_begins_at_once() {
        let (large, small) = (seat("large", "a", Routine), seat("small", "b", Routine));
        let house = places(16, &[]);
        assert_eq!(granted(&house, std::slice::from_ref(&large), &[]), [14]);
        let hung = vec![large.clone(); 14];
        assert_eq!(granted(&house, &[large.clone(), small.clone()], &hung), [0, 1]);
        // Another one after that too, although nobody has given a place back.
        let hung = [hung, vec![small.clone()]].concat();
        assert_eq!(granted(&house, &[large.clone(), small.clone(), seat("third", "c", Routine)], &hung), [0, 0, 1]);
        let alone = Shares::new(&house, vec![large], &[], true, 0);
        assert_eq!({ alone }.deal(), 16, "nobody else could come");
    }

    #[test]
    fn places_given_back_go_to_who_has_fewest() {
        let (large, small) = (seat("large", "", Routine), seat("small", "", Routine));
        let taken = [vec![large.clone(); 11], vec![small.clone(); 1]].concat();
        assert_eq!(granted(&places(16, &[]), &[large.clone(), small.clone()], &taken), [0, 3]);
        assert_eq!(granted(&places(16, &[]), &[large, small], &[]), [7, 7]);
    }

    #[test]
    fn a_relay_holds_no_more_places_than_it_carries_unless_most_are_free() {
        let limits = [("slow", 4), ("quick", 4)];
        let (slow, quick) = (seat("a", "slow", Routine), seat("b", "quick", Routine));
        assert_eq!(granted(&places(16, &limits), std::slice::from_ref(&slow), &[]), [8], "half of the places stay free");
        assert_eq!(granted(&places(8, &limits), &[slow.clone(), quick.clone()], &[]), [4, 3]);
        // Two customers of one relay share it.
        let asking = [slow.clone(), seat("b", "slow", Routine)];
        assert_eq!(granted(&places(8, &limits), &asking, &[]), [2, 2]);
        let taken = [vec![quick.clone(); 3], vec![slow.clone(); 4]].concat();
        assert_eq!(granted(&places(16, &limits), &[slow, quick], &taken), [0, 1], "half of the places stay free");
    }

    #[test]
    fn a_quarter_of_the_places_and_of_each_lane_is_kept_from_urgent_work_while_routine_work_waits() {
        let (urgent, routine) = (seat("a", "r", Urgent), seat("b", "r", Routine));
        let house = places(16, &[]);
        assert_eq!(granted(&house, &[urgent.clone(), routine.clone()], &[]), [10, 5], "the reserve is kept besides");
        // One place at a time: the next one is routine's until it has its quarter.
        let taken = [vec![urgent.clone(); 12], vec![routine.clone(); 1]].concat();
        assert_eq!(granted(&places(15, &[]), &[urgent.clone(), routine.clone()], &taken), [0, 1]);
        assert_eq!(granted(&places(16, &[("r", 4)]), &[urgent.clone(), routine.clone()], &[]), [3, 5]);
        assert_eq!(granted(&places(6, &[("r", 4)]), &[urgent.clone(), routine], &[]), [3, 1]);
        let elsewhere = seat("b", "s", Routine);
        assert_eq!(
            granted(&places(16, &[("r", 4), ("s", 1)]), &[urgent, elsewhere], &[]),
            [8, 1],
            "what nobody wants is not kept"
        );
    }

    #[test]
    fn what_one_leaves_over_goes_to_the_next() {
        let house = places(16, &[]);
        let mut shares = Shares::new(&house, vec![seat("a", "", Routine), seat("b", "", Routine)], &[], false, 0);
        assert_eq!(shares.deal(), 14);
        shares.used(0, 2);
        shares.used(1, 7);
        assert_eq!(shares.deal(), 5);
        shares.used(1, 5);
        assert!(shares.leaves_waiting());
        assert_eq!(shares.deal(), 0);
    }

    proptest! {
        #[test]
        fn no_rule_is_ever_broken(
            all in 1_usize..40,
            limit in 1_usize..9,
            asking in proptest::collection::vec((0_u8..6, 0_u8..3, any::<bool>()), 1..20),
            seats in proptest::collection::vec((0_u8..6, 0_u8..3, any::<bool>()), 0..30),
            turn in 0_usize..50,
        ) {
            let make = |(org, lane, urgent): &(u8, u8, bool)| {
                seat(&format!("o{org}"), &format!("l{lane}"), if *urgent { Urgent } else { Routine })
            };
            let house = places(all, &[("l0", limit)]);
            let (asking, seats): (Vec<Seat>, Vec<Seat>) = (asking.iter().map(make).collect(), seats.iter().map(make).collect());
            let mut shares = Shares::new(&house, asking.clone(), &seats, false, turn);
            let dealt = shares.deal();
            prop_assert!(seats.len().max(all) >= seats.len() + dealt, "more places than there are");
            let before = |pick: &dyn Fn(&Seat) -> bool| seats.iter().filter(|seat| pick(seat)).count();
            let given = |pick: &dyn Fn(&Seat) -> bool| shares.asks.iter().filter(|ask| pick(&ask.seat)).map(|ask| ask.granted).sum::<usize>();
            let in_lane = |seat: &Seat| seat.lane == "l0";
            prop_assert!(given(&in_lane) == 0 || before(&in_lane) + given(&in_lane) <= 2 * limit);
            // A newcomer is never left standing while there is a place it could have.
            for ask in &shares.asks {
                let mine = |seat: &Seat| seat.org == ask.seat.org;
                let free = all.saturating_sub(seats.len() + dealt);
                let lane_full = in_lane(&ask.seat) && before(&in_lane) + given(&in_lane) >= limit;
                prop_assert!(before(&mine) + given(&mine) > 0 || free == 0 || lane_full);
            }
        }
    }
}
