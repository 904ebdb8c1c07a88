//! The directory against a stupid twin.

use super::*;

/// What a name stands for.
fn view_of(name: &Name) -> View {
    if name.ends_with('/') { View::Members } else { View::Bytes }
}

/// True if both are of one content: a file and a listing of one id are two.
fn alike(a: &Offer, b: &Offer) -> bool {
    (a.id, view_of(&a.name)) == (b.id, view_of(&b.name))
}

/// Everything about who has what, scanned from one list each time.
#[derive(Default)]
struct Twin {
    /// Connection, name, offer, and which chunks.
    rows: Vec<(Sender, Offer, Vec<bool>)>,
}

impl Twin {
    fn update(&mut self, sender: Sender, removed: &[(Name, FileId)], added: &[Offer]) {
        let gone = |row: &(Sender, Offer, _), (name, id): &(Name, FileId)| {
            row.0 == sender && row.1.name == *name && row.1.id == *id
        };
        self.rows.retain(|row| !removed.iter().any(|pair| gone(row, pair)));
        for offer in added {
            let mut held = self.rows.iter().filter(|row| row.0 == sender && alike(&row.1, offer));
            let none = vec![offer.complete; offer.chunks as usize];
            let has =
                held.next().map_or(none.clone(), |row| if offer.complete { none } else { row.2.clone() });
            let there = |row: &(Sender, Offer, _)| row.0 == sender && alike(&row.1, offer);
            self.rows.iter_mut().filter(|row| there(row)).for_each(|row| row.2 = has.clone());
            match self.rows.iter_mut().find(|row| there(row) && row.1.name == offer.name) {
                Some(row) => row.1.original |= offer.original,
                None => self.rows.push((sender, offer.clone(), has)),
            }
        }
    }

    fn set(&mut self, sender: Sender, content: &Offer, chunk: usize, to: bool) {
        for row in self.rows.iter_mut().filter(|row| row.0 == sender && alike(&row.1, content)) {
            row.2[chunk] = to;
        }
    }

    fn holders(&self, id: FileId) -> Vec<(PeerId, usize)> {
        let mut found: Vec<(bool, PeerId, usize)> = self
            .rows
            .iter()
            .filter(|row| row.1.id == id)
            .map(|row| {
                let have = row.2.iter().filter(|has| **has).count();
                (row.1.name.ends_with('/'), row.0.peer, have)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        let mut found: Vec<_> = found.into_iter().map(|(_, peer, have)| (peer, have)).collect();
        found.sort_unstable();
        found
    }

    fn pairs(&self) -> Vec<(String, FileId)> {
        let made = |name: &Name| self.rows.iter().any(|row| row.1.original && row.1.name == *name);
        let counts = |offer: &Offer| offer.original || !made(&offer.name);
        let counting = self.rows.iter().filter(|row| {
            self.rows
                .iter()
                .any(|other| other.1.name == row.1.name && other.1.id == row.1.id && counts(&other.1))
        });
        let mut pairs: Vec<_> = counting.map(|row| (row.1.name.to_string(), row.1.id)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

fn check(directory: &mut Directory, twin: &Twin, now: Instant) {
    let mut page = Page::new("", "", 1000);
    assert!(directory.list(&mut page));
    let listed: Vec<_> = page.entries.iter().map(|entry| (entry.name.to_string(), entry.id)).collect();
    assert_eq!(listed, twin.pairs());
    for content in 0..8 {
        let id = FileId([content; 32]);
        let found = locate(directory, Wanted::Id(id), now);
        let mut holders: Vec<_> = found
            .iter()
            .flat_map(|variant| variant.holders.iter().map(|holder| (holder.peer, holder.have as usize)))
            .collect();
        holders.sort_unstable();
        assert_eq!(holders, twin.holders(id));
        let all = |variant: &&Variant| variant.holders.len() as u32 == variant.seeders + variant.leechers;
        assert!(found.iter().all(|variant| all(&variant)));
    }
    assert_eq!(directory.status(now).registrations, twin.rows.len() as u64);
}

#[test]
fn agrees_with_a_twin_that_scans_everything() {
    for seed in 0..20 {
        let now = Instant::now();
        let (mut rng, mut directory) = (fastrand::Rng::with_seed(seed), directory(now));
        let mut twin = Twin::default();
        (1..=6).for_each(|number| join(&mut directory, peer(number), &[], now));
        for _ in 0..300 {
            let sender = peer(rng.u8(1..=6));
            // A content's chunks follow from its number, as they do from an id: 1 to 70.
            let content = rng.u8(1..8);
            let chunks = u32::from(content) * 10;
            let name = ["f", "a/b", "a", "ä", "z/"][rng.usize(..5)];
            let random = Offer { original: rng.bool(), ..offer(name, content, chunks, rng.bool()) };
            match rng.u8(..8) {
                0 => {
                    directory.leave(sender);
                    join(&mut directory, sender, &[], now);
                    while directory.sweep(3) {}
                    twin.rows.retain(|row| row.0 != sender);
                }
                1..=3 => {
                    directory.update(sender, &[], std::slice::from_ref(&random), now).unwrap();
                    twin.update(sender, &[], &[random]);
                }
                4 => {
                    let removed = [(random.name.clone(), random.id)];
                    directory.update(sender, &removed, &[], now).unwrap();
                    twin.update(sender, &removed, &[]);
                }
                5 | 6 => {
                    let first = rng.u32(..chunks);
                    let count = rng.u32(..=chunks - first);
                    if directory
                        .have(
                            sender,
                            (random.id, view_of(&random.name)),
                            &[Run::new(Chunk(first), count)],
                            now,
                        )
                        .is_ok()
                    {
                        (first..first + count)
                            .for_each(|chunk| twin.set(sender, &random, chunk as usize, true));
                    }
                }
                _ => {
                    // Whatever others say of a peer, what it has is what it said.
                    let (by, about) = (peer(7), (random.id, Chunk(rng.u32(..chunks))));
                    join(&mut directory, by, &[], now);
                    let complaint = [Complaint::Dead, Complaint::Missing, Complaint::Corrupt][rng.usize(..3)];
                    directory.report(by, sender.peer, complaint, about, now).unwrap();
                }
            }
            check(&mut directory, &twin, now);
        }
        (1..=7).for_each(|number| _ = directory.leave(peer(number)));
        while directory.sweep(1) {}
        assert!(directory.roll.is_empty(), "nothing is left behind");
    }
}
