//! The network between relay and first MTA: a proxy that delays, stalls, cuts connections at chosen points of the
//! dialogue, and refuses them, as the weather says.

use crate::dice::Dice;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const DOT: &[u8] = b"\r\n.\r\n";
const BACKLOG: u32 = 1024;

/// What the network does to whatever passes. Shares are of a hundred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weather {
    /// Longest delay of a piece, in milliseconds.
    delay_max: u64,
    /// The content arrives without its final dot.
    cut_before_dot: u64,
    /// The final dot arrives, and its answer does not.
    cut_after_dot: u64,
    /// A piece of either direction is the end.
    cut_anywhere: u64,
    /// Nothing moves, and no connection breaks.
    stalls: bool,
    /// A partition that is seen: connections break, and new ones are refused.
    refuses: bool,
}

impl Weather {
    pub fn draw(dice: &mut Dice) -> Self {
        let calm = Self::default();
        match dice.below(8) {
            0 | 1 => calm,
            2 => Self { delay_max: 5 + dice.below(60), ..calm },
            3 => Self { delay_max: dice.below(500), cut_after_dot: 10, ..calm },
            4 => Self { cut_before_dot: 5 + dice.below(40), cut_after_dot: 5 + dice.below(40), ..calm },
            5 => Self { delay_max: dice.below(20), cut_anywhere: 2 + dice.below(25), ..calm },
            6 => Self { stalls: true, ..calm },
            _ => Self { refuses: true, ..calm },
        }
    }
}

/// Runs until it is dropped.
pub struct Proxy {
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Between `door` and the MTA, in calm weather.
    pub fn start(door: SocketAddr, mta: SocketAddr, seed: u64) -> Self {
        let (weather, seen) = watch::channel(Weather::default());
        Self { weather, accepting: tokio::spawn(accept(door, mta, seed, seen)) }
    }

    pub fn turn(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Listens whenever the weather allows it: a refused connection meets no listener at all.
async fn accept(door: SocketAddr, mta: SocketAddr, seed: u64, weather: watch::Receiver<Weather>) {
    let (mut opens, mut closes, mut number) = (weather.clone(), weather.clone(), 0);
    while opens.wait_for(|weather| !weather.refuses).await.is_ok() {
        let listener = listen(door);
        loop {
            let accepted = tokio::select! {
                _ = closes.wait_for(|weather| weather.refuses) => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((relay, _)) = accepted else { continue };
            number += 1;
            let dice = Dice::stream(seed, "passage", number);
            tokio::spawn(pass(relay, mta, dice, weather.clone()));
        }
    }
}

fn listen(door: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(door).unwrap();
    socket.listen(BACKLOG).unwrap()
}

async fn pass(relay: TcpStream, mta: SocketAddr, dice: Dice, weather: watch::Receiver<Weather>) {
    let Ok(mta) = TcpStream::connect(mta).await else { return };
    let _ = (relay.set_nodelay(true), mta.set_nodelay(true));
    let mut refused = weather.clone();
    let passage = Passage { relay, mta, dice, weather, tail: Vec::new(), swallows: false };
    tokio::select! {
        _ = passage.carry() => {}
        _ = refused.wait_for(|weather| weather.refuses) => {}
    }
}

/// One connection. Both of its ends are closed when it is dropped.
struct Passage {
    relay: TcpStream,
    mta: TcpStream,
    dice: Dice,
    weather: watch::Receiver<Weather>,
    /// The last octets that went to the MTA: a dot may come in two pieces.
    tail: Vec<u8>,
    /// A dot has passed whose answer must not.
    swallows: bool,
}

impl Passage {
    /// `None` is the end of the connection, whoever made it.
    async fn carry(mut self) -> Option<()> {
        let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        loop {
            tokio::select! {
                read = self.relay.read(&mut up) => {
                    let octets = &up[..read.ok().filter(|count| *count > 0)?];
                    self.suffer().await?;
                    self.send_up(octets).await?;
                }
                read = self.mta.read(&mut down) => {
                    let octets = &down[..read.ok().filter(|count| *count > 0)?];
                    self.suffer().await?;
                    if self.swallows {
                        return None;
                    }
                    self.relay.write_all(octets).await.ok()?;
                }
            }
        }
    }

    /// What befalls every piece.
    async fn suffer(&mut self) -> Option<()> {
        let weather = self.weather.wait_for(|weather| !weather.stalls).await.ok()?.clone();
        if weather.delay_max > 0 {
            tokio::time::sleep(self.dice.pause(0, weather.delay_max)).await;
        }
        (!self.dice.percent(weather.cut_anywhere)).then_some(())
    }

    async fn send_up(&mut self, octets: &[u8]) -> Option<()> {
        if self.swallows {
            return Some(());
        }
        let weather = self.weather.borrow().clone();
        for end in dots(&self.tail, octets) {
            if self.dice.percent(weather.cut_before_dot) {
                // Even where the dot itself came in an earlier piece: its line end is missing.
                let _ = self.mta.write_all(&octets[..end.saturating_sub(3)]).await;
                return None;
            }
            if self.dice.percent(weather.cut_after_dot) {
                self.swallows = true;
                return self.mta.write_all(&octets[..end]).await.ok();
            }
        }
        self.tail.extend_from_slice(octets);
        self.tail.drain(..self.tail.len().saturating_sub(DOT.len() - 1));
        self.mta.write_all(octets).await.ok()
    }
}

/// Where in `octets` final dots end. Commands never hold one, so that no state of the dialogue is needed.
fn dots(tail: &[u8], octets: &[u8]) -> Vec<usize> {
    let whole = [tail, octets].concat();
    let ends = whole.windows(DOT.len()).enumerate().filter(|(_, window)| *window == DOT);
    ends.map(|(at, _)| at + DOT.len() - tail.len()).collect()
}

#[test]
fn dots_are_found_at_any_split() {
    let text = b"DATA\r\nhello\r\n..no\r\n.\r\nMAIL FROM:<>\r\n";
    let wanted = text.windows(5).position(|window| window == DOT).unwrap() + 5;
    for split in 0..=text.len() {
        let (first, second) = text.split_at(split);
        let mut found = dots(b"", first);
        let tail = &first[first.len().saturating_sub(4)..];
        found.extend(dots(tail, second).into_iter().map(|end| end + split));
        assert_eq!(found, [wanted], "split at {split}");
    }
}

#[test]
fn the_weather_changes() {
    let mut dice = Dice::stream(1, "weather", 0);
    let drawn: Vec<Weather> = (0..100).map(|_| Weather::draw(&mut dice)).collect();
    assert!(drawn.iter().any(|weather| weather.stalls) && drawn.iter().any(|weather| weather.refuses));
    assert!(drawn.iter().any(|weather| weather.cut_before_dot > 0));
}
