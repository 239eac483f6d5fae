use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn hub(name: &str) -> Arc<HubKey> {
    Arc::new(HubKey::Cluster(name.to_owned()))
}

fn lane(class: Option<Class>, name: &str) -> Lane {
    Lane { class, hub: hub(name) }
}

fn always(_: &HubKey, _: Class) -> Room {
    Room::Now
}

fn order(queue: &mut Queue<u32>) -> Vec<u32> {
    let now = Instant::now();
    let mut order = Vec::new();
    while let Some(item) = queue.next(now, always) {
        assert!(queue.finished(&item).is_none());
        order.push(item);
    }
    order
}

#[test]
fn classes_go_in_order_and_namespaces_take_turns() {
    let mut queue = Queue::default();
    for item in 0..4 {
        queue.push(item, "many".into(), lane(Some(Class::FirstRead), "a"));
    }
    queue.push(4, "few".into(), lane(Some(Class::FirstRead), "a"));
    queue.push(5, "few".into(), lane(Some(Class::SpecChange), "a"));
    queue.push(6, "few".into(), lane(None, "a"));
    assert_eq!(order(&mut queue), [6, 5, 0, 4, 1, 2, 3]);
    assert!(queue.states.is_empty() && queue.lanes.is_empty());
}

#[test]
fn an_edit_of_what_waits_for_its_first_read_goes_before() {
    let mut queue = Queue::default();
    queue.push(1, "ns".into(), lane(Some(Class::FirstRead), "a"));
    queue.push(2, "ns".into(), lane(Some(Class::FirstRead), "a"));
    queue.push(2, "ns".into(), lane(Some(Class::SpecChange), "a"));
    queue.push(2, "ns".into(), lane(Some(Class::FirstRead), "a"));
    assert_eq!(order(&mut queue), [2, 1]);
}

#[test]
fn a_hub_without_room_holds_up_nobody_else() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let later = now + Duration::from_secs(1);
    for item in 0..200 {
        queue.push(item, "ns".into(), lane(Some(Class::SpecChange), "slow"));
    }
    queue.push(200, "ns".into(), lane(Some(Class::FirstRead), "good"));
    let room = |hub: &HubKey, _: Class| if hub.name() == "slow" { Room::At(later) } else { Room::Now };
    assert_eq!(queue.next(now, room), Some(200));
    assert_eq!(queue.next(now, |_, _| unreachable!("it is known when there is room")), None);
    assert_eq!(queue.wakes_at(), Some(later));
    assert!(queue.next(later, always).is_some());
}

#[test]
fn calls_that_take_long_leave_room_for_others() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for item in 0..1000 {
        queue.push(item, "ns".into(), lane(Some(Class::SpecChange), "slow"));
    }
    let running = std::iter::from_fn(|| queue.next(now, always)).count();
    assert_eq!(running, MOST / 2);
    // However many hubs are slow, another finds a slot.
    for (item, hub) in (1000..).zip(["slow too", "and this", "and that"]) {
        queue.push(item * 1000, "ns".into(), lane(Some(Class::SpecChange), hub));
        for further in 1..1000 {
            queue.push(item * 1000 + further, "ns".into(), lane(Some(Class::SpecChange), hub));
        }
        assert!(std::iter::from_fn(|| queue.next(now, always)).count() > 0);
    }
    queue.push(1000, "ns".into(), lane(Some(Class::Sweep), "good"));
    assert_eq!(queue.next(now, always), Some(1000));
}

#[test]
fn what_is_asked_for_while_it_runs_runs_again_and_never_twice_at_once() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.push(1, "ns".into(), lane(None, "a"));
    assert_eq!(queue.next(now, always), Some(1));
    queue.push(1, "ns".into(), lane(Some(Class::Drift), "a"));
    queue.push(1, "ns".into(), lane(Some(Class::SpecChange), "a"));
    assert_eq!(queue.next(now, always), None);
    assert_eq!(queue.finished(&1), Some(lane(Some(Class::SpecChange), "a")));
}

#[test]
fn the_earliest_time_counts_and_a_push_comes_before_all() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let at = |seconds| now + Duration::from_secs(seconds);
    queue.schedule(1, at(5));
    queue.schedule(1, at(3));
    queue.schedule(1, at(9));
    queue.schedule(2, at(4));
    queue.schedule(3, at(1));
    queue.forget(&3);
    queue.push(2, "ns".into(), lane(None, "a"));
    assert_eq!(queue.due(at(2)), None);
    assert_eq!((queue.due(at(10)), queue.due(at(10))), (Some(1), None));
    assert!(queue.timers.is_empty(), "what was replaced takes no room");
    assert_eq!(queue.next(now, always), Some(2));
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8, u8, usize),
    Schedule(u8, u64),
    Forget(u8),
    Run,
    Finish(u8),
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let item = 0..8_u8;
    let step = prop_oneof![
        4 => (item.clone(), 0..3_u8, 0..4_usize).prop_map(|(item, namespace, class)| Step::Push(item, namespace, class)),
        2 => (item.clone(), 0..5_u64).prop_map(|(item, at)| Step::Schedule(item, at)),
        1 => item.clone().prop_map(Step::Forget),
        4 => Just(Step::Run),
        4 => item.prop_map(Step::Finish),
        2 => Just(Step::Tick),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// Whatever is asked for runs in the end, never twice at once, and nothing is left behind.
    #[test]
    fn nothing_is_lost(steps in steps()) {
        let start = Instant::now();
        let classes = [None, Some(Class::SpecChange), Some(Class::FirstRead), Some(Class::Sweep)];
        let lane_of = |class: usize| lane(classes[class], "a");
        let (mut queue, mut now) = (Queue::default(), start);
        let (mut asked, mut running) = (HashSet::new(), HashSet::new());
        for step in steps {
            match step {
                Step::Push(item, namespace, class) => {
                    queue.push(item, namespace.to_string().into(), lane_of(class));
                    asked.insert(item);
                }
                Step::Schedule(item, seconds) => {
                    if !running.contains(&item) {
                        asked.insert(item);
                    }
                    queue.schedule(item, now + Duration::from_secs(seconds));
                }
                Step::Forget(item) => {
                    queue.forget(&item);
                    asked.remove(&item);
                }
                Step::Run => {
                    if let Some(item) = queue.next(now, always) {
                        prop_assert!(running.insert(item), "{item} runs twice at once");
                        prop_assert!(asked.remove(&item), "nobody asked for {item}");
                    }
                }
                Step::Finish(item) => {
                    let again = queue.finished(&item);
                    prop_assert!(running.remove(&item) || again.is_none());
                    again.into_iter().for_each(|lane| queue.push(item, "ns".into(), lane));
                }
                Step::Tick => now += Duration::from_secs(1),
            }
            while let Some(item) = queue.due(now) {
                queue.push(item, "ns".into(), lane_of(3));
            }
            let timed = queue.states.values().filter(|state| matches!(state, State::Timed(_))).count();
            prop_assert_eq!(queue.timers.len(), timed, "one timer each, however often it is asked for");
        }
        now += Duration::from_secs(3600);
        for item in std::mem::take(&mut running) {
            queue.finished(&item).into_iter().for_each(|lane| queue.push(item, "ns".into(), lane));
        }
        while let Some(item) = queue.due(now) {
            queue.push(item, "ns".into(), lane_of(3));
        }
        while let Some(item) = queue.next(now, always) {
            asked.remove(&item);
            prop_assert_eq!(queue.finished(&item), None);
        }
        prop_assert!(asked.is_empty(), "never ran: {asked:?}");
        prop_assert!(queue.states.is_empty() && queue.lanes.is_empty() && queue.running == 0);
    }
}
