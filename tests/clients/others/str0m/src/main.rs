//! str0m as camera and as viewer, called as tests/clients/programs.py says: publish URL FILM, watch PICTURES SOUNDS.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    str0m::crypto::from_feature_flags().install_process_default();
    println!("{}", serde_json::json!({"version": "str0m 0.25"}));
    let given: Vec<String> = std::env::args().collect();
    match given[1].as_str() {
        "publish" => publish(&given[2], &given[3]),
        _ => watch(&given[2], &given[3]),
    }
}

fn first_line() -> Fallible<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Says when the standard input has ended.
fn end_of_input() -> Receiver<()> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    receiver
}

struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    connected: bool,
}

impl Peer {
    /// Returns a peer that offers picture and sound in one direction, its m-lines and its offer.
    fn offering(direction: Direction) -> Fallible<(Peer, [Mid; 2], String, SdpPendingOffer)> {
        let mut rtc = Rtc::builder().clear_codecs().enable_h264(true).enable_opus(true, false).build(Instant::now());
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        rtc.add_local_candidate(Candidate::host(socket.local_addr()?, "udp")?);
        let mut changes = rtc.sdp_api();
        let mut add = |kind| changes.add_media(kind, direction, Some("film".into()), None, None);
        let mids = [add(MediaKind::Video), add(MediaKind::Audio)];
        let (offer, pending) = changes.apply().ok_or("nothing to offer")?;
        Ok((Peer { rtc, socket, connected: false }, mids, offer.to_sdp_string(), pending))
    }

    fn answered(&mut self, pending: SdpPendingOffer, answer: &str) -> Fallible<()> {
        Ok(self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(answer)?)?)
    }

    /// Lets time pass until `due`, or until something happens; whatever was to be sent is sent.
    fn pass(&mut self, due: Instant) -> Fallible<Option<Event>> {
        loop {
            let wake = match self.rtc.poll_output()? {
                Output::Transmit(out) => {
                    self.socket.send_to(&out.contents, out.destination)?;
                    continue;
                }
                Output::Event(Event::IceConnectionStateChange(state)) => {
                    println!("{}", serde_json::json!({"ice": format!("{state:?}")}));
                    if state == IceConnectionState::Disconnected {
                        println!("{}", serde_json::json!({"state": "disconnected"}));
                    }
                    continue;
                }
                Output::Event(Event::Connected) => {
                    self.connected = true;
                    println!("{}", serde_json::json!({"state": "connected"}));
                    return Ok(None);
                }
                Output::Event(event) => return Ok(Some(event)),
                Output::Timeout(at) => at.min(due),
            };
            let now = Instant::now();
            if now < wake {
                self.receive(wake - now)?;
            } else {
                self.rtc.handle_input(Input::Timeout(now))?;
            }
            if Instant::now() >= due {
                return Ok(None);
            }
        }
    }

    fn receive(&mut self, wait: Duration) -> Fallible<()> {
        let mut buffer = [0; 2000];
        self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let now = |_| Instant::now();
        match self.socket.recv_from(&mut buffer) {
            Ok((length, source)) => {
                let destination = self.socket.local_addr()?;
                let contents = buffer[..length].try_into()?;
                let packet = Receive { proto: Protocol::Udp, source, destination, contents };
                Ok(self.rtc.handle_input(Input::Receive(now(()), packet))?)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(self.rtc.handle_input(Input::Timeout(now(())))?)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn publish(url: &str, film: &str) -> Fallible<()> {
    let token = format!("Bearer {}", first_line()?);
    let (mut peer, mids, offer, pending) = Peer::offering(Direction::SendOnly)?;
    let posting = ureq::post(url).header("Authorization", &token).header("Content-Type", "application/sdp");
    let mut response = posting.send(&offer)?;
    let answer = response.body_mut().read_to_string()?;
    println!("{}", serde_json::json!({"status": response.status().as_u16(), "answer": answer}));
    let location = response.headers().get("location").ok_or("no Location")?.to_str()?;
    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    peer.answered(pending, &answer)?;
    let ended = end_of_input();
    while !peer.connected {
        peer.pass(Instant::now() + Duration::from_millis(100))?;
    }
    play(&mut peer, mids, &fs::read(film)?, &ended)?;
    let deleted = ureq::delete(format!("{origin}{location}")).header("Authorization", &token).call()?;
    println!("{}", serde_json::json!({"deleted": deleted.status().as_u16()}));
    peer.rtc.disconnect();
    Ok(())
}

/// Sends the film (film.py says how it is stored) in its own time, until it or the standard input ends.
fn play(peer: &mut Peer, mids: [Mid; 2], film: &[u8], ended: &Receiver<()>) -> Fallible<()> {
    let start = Instant::now();
    let number = |at: usize| u32::from_be_bytes(film[at..at + 4].try_into().unwrap());
    let mut at = 0;
    while at < film.len() && ended.try_recv().is_err() {
        let (kind, ms, length) = (usize::from(film[at]), u64::from(number(at + 1)), number(at + 5) as usize);
        let due = start + Duration::from_millis(ms);
        while Instant::now() < due {
            peer.pass(due)?;
        }
        let time = [
            MediaTime::from_90khz(ms * 90),
            MediaTime::new(ms * 48, Frequency::FORTY_EIGHT_KHZ),
        ][kind];
        let codec = [Codec::H264, Codec::Opus][kind];
        let writer = peer.rtc.writer(mids[kind]).ok_or("a line that was declined")?;
        let pt = writer.payload_params().find(|each| each.spec().codec == codec).ok_or("no codec agreed")?.pt();
        writer.write(pt, Instant::now(), time, &film[at + 9..at + 9 + length])?;
        while peer.pass(Instant::now())?.is_some() {}
        at += 9 + length;
    }
    Ok(())
}

fn watch(pictures: &str, sounds: &str) -> Fallible<()> {
    let (mut peer, mids, offer, pending) = Peer::offering(Direction::RecvOnly)?;
    println!("{}", serde_json::json!({"offer": offer}));
    let answer: serde_json::Value = serde_json::from_str(&first_line()?)?;
    peer.answered(pending, answer["answer"].as_str().ok_or("no answer")?)?;
    let (mut video, mut audio) = (File::create(pictures)?, File::create(sounds)?);
    let ended = end_of_input();
    while ended.try_recv().is_err() {
        let Some(Event::MediaData(media)) = peer.pass(Instant::now() + Duration::from_millis(100))? else { continue };
        if media.mid == mids[0] {
            video.write_all(&media.data)?;
        } else {
            audio.write_all(&(media.data.len() as u16).to_be_bytes())?;
            audio.write_all(&media.data)?;
        }
    }
    peer.rtc.disconnect();
    Ok(())
}
