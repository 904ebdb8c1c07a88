//! What breaks, and when.

use super::net::Time;
use super::world::World;
use crate::tracker::cluster::{Event, Head, Node};

/// Milliseconds after which everybody has noticed that a disk was emptied.
const SETTLES: Time = 3_000;

/// What is broken now.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Who is to start again when.
    down: Vec<(Time, Node)>,
    wiped_before_first: usize,
}

impl Faults {
    /// Lets something break, or not.
    pub(super) fn break_something(&mut self, world: &mut World) -> Result<(), String> {
        let season = world.season;
        let often = |world: &mut World, of: u32| world.rng.u32(..1000) < of;
        self.start_again(world)?;
        if often(world, season.crashes) {
            let node = any(world);
            self.crash(world, node);
        }
        if often(world, season.cuts) {
            self.cut(world);
        }
        if often(world, 4) {
            world.net.cut.clear();
        }
        if often(world, season.cuts) {
            self.replace_connection(world);
        }
        if often(world, season.duels) {
            let node = any(world);
            let process = world.trackers.get_mut(&node).and_then(|tracker| tracker.process.as_mut());
            process.into_iter().for_each(|process| process.inbox.push(Event::Campaign));
        }
        if often(world, 1) {
            let node = any(world);
            let sync = [1, 20, 300, 1_000][world.rng.usize(..4)];
            world.trackers.get_mut(&node).into_iter().for_each(|tracker| tracker.sync = sync);
        }
        if often(world, season.changes) {
            self.change(world)?;
        }
        if world.judge.records.applied() == 0 && often(world, season.founding) {
            self.wipe(world);
        }
        Ok(())
    }

    /// Who is down and was not told to stay so starts again.
    fn start_again(&mut self, world: &mut World) -> Result<(), String> {
        let known: Vec<Node> = self.down.iter().map(|(_, node)| *node).collect();
        let down = world.trackers.values().filter(|tracker| tracker.process.is_none());
        let new: Vec<Node> = down.map(|tracker| tracker.node).filter(|node| !known.contains(node)).collect();
        for node in new {
            let at = world.now + world.rng.u64(1..=world.season.down);
            self.down.push((at, node));
        }
        let now = world.now;
        let due: Vec<Node> = self.down.iter().filter(|(at, _)| *at <= now).map(|(_, node)| *node).collect();
        self.down.retain(|(at, _)| *at > now);
        due.into_iter().try_for_each(|node| match world.trackers.get(&node) {
            Some(tracker) if tracker.process.is_none() => world.start(node),
            _ => Ok(()),
        })
    }

    /// One ends, or several at once.
    fn crash(&mut self, world: &mut World, node: Node) {
        world.crash(node);
        if world.rng.u8(..6) == 0 {
            let all = world.own();
            all.into_iter().for_each(|node| world.crash(node));
        }
    }

    /// Somebody does not hear somebody any more, or nobody.
    fn cut(&mut self, world: &mut World) {
        let (one, other) = (any(world), any(world));
        world.net.cut.insert((one, other));
        if world.rng.bool() {
            world.net.cut.insert((other, one));
        }
        if world.rng.u8(..4) == 0 {
            let all = world.own();
            let way = world.rng.u8(..3);
            for other in all.into_iter().filter(|other| *other != one) {
                if way != 0 {
                    world.net.cut.insert((one, other));
                }
                if way != 1 {
                    world.net.cut.insert((other, one));
                }
            }
        }
    }

    /// A connection ends, or is replaced while frames are under way.
    fn replace_connection(&mut self, world: &mut World) {
        let (one, other) = (any(world), any(world));
        if world.rng.bool() && one < other {
            let up = |node| world.trackers.get(&node).is_some_and(|there| there.process.is_some());
            if up(one) && up(other) {
                let arrivals = world.net.connect((one, other), world.now, &mut world.rng);
                world.arrive(arrivals);
            }
            return;
        }
        let open = world.net.open(None);
        if !open.is_empty() {
            let id = open[world.rng.usize(..open.len())];
            let arrivals = world.net.end(id, world.now, &mut world.rng);
            world.arrive(arrivals);
        }
    }

    /// A disk is emptied, or members change.
    fn change(&mut self, world: &mut World) -> Result<(), String> {
        if world.rng.u8(..3) == 0 {
            self.wipe(world);
            return Ok(());
        }
        let Some((head, _)) = world.judge.latest() else { return Ok(()) };
        let mut members: Vec<_> =
            head.members.iter().map(|member| (member.node, member.address.clone(), member.key)).collect();
        let gone = head.members.iter().position(|member| is_gone(world, member.node, member.incarnation));
        let at = world.rng.usize(..members.len());
        if let Some(gone) = gone {
            members.remove(gone);
        } else if members.len() > 1 && world.rng.bool() {
            members.remove(at);
        }
        let outside =
            world.own().into_iter().filter(|node| members.iter().all(|(member, ..)| member != node));
        // A disk that is emptied while it is taken in is lost like one that is emptied a moment later.
        let settled = |node: &Node| {
            world
                .trackers
                .get(node)
                .is_some_and(|there| there.wiped == 0 || there.wiped + SETTLES < world.now)
        };
        let outside: Vec<Node> = outside.filter(settled).collect();
        if !outside.is_empty() && members.len() < 5 && world.rng.u8(..4) != 0 {
            members.push(super::node::listed(outside[world.rng.usize(..outside.len())]));
        } else if world.trackers.len() < 7 && world.rng.bool() {
            let node = world.own().into_iter().max().map_or(1, |last| last + 1);
            world.add_tracker(node)?;
        }
        if !members.is_empty() {
            world.change(members);
        }
        Ok(())
    }

    /// A disk is emptied, if that may be.
    fn wipe(&mut self, world: &mut World) {
        let node = any(world);
        if !self.may_be_wiped(world, node) {
            return;
        }
        if let Some(tracker) = world.trackers.get_mut(&node) {
            tracker.wipe(world.now, &mut world.rng);
            world.judge.wiped(node);
            world.done.wipes += 1;
            world.hang_up(node);
        }
    }

    /// True if a majority of what may be needed is left without this disk.
    fn may_be_wiped(&mut self, world: &World, node: Node) -> bool {
        let Some((head, before)) = world.judge.latest() else {
            let most = (world.first.len() - 1) / 2;
            self.wiped_before_first += 1;
            return self.wiped_before_first <= most;
        };
        let settled = world.judge.records.applied() > head.base;
        let lives = |head: &Head| {
            let living = head
                .members
                .iter()
                .filter(|member| member.node != node && !is_gone(world, member.node, member.incarnation));
            living.count() * 2 > head.members.len()
        };
        // Those who were asked to be the next members may be that already.
        let mut next = world.asked.iter().filter(|(epoch, _)| *epoch >= head.epoch);
        let next_live = next.all(|(_, members)| {
            let living =
                members.iter().filter(|(member, disk)| *member != node && !is_gone(world, *member, *disk));
            living.count() * 2 > members.len()
        });
        lives(head) && next_live && (settled || before.is_none_or(lives))
    }
}

fn is_gone(world: &World, node: Node, incarnation: crate::tracker::cluster::Incarnation) -> bool {
    world.trackers.get(&node).is_none_or(|tracker| tracker.incarnation != incarnation)
}

fn any(world: &mut World) -> Node {
    let nodes = world.own();
    nodes[world.rng.usize(..nodes.len())]
}
