// Pion as camera and as viewer, called as tests/clients/programs.py says: publish URL FILM, watch PICTURES SOUNDS.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/samplebuilder"
)

var input = bufio.NewReader(os.Stdin)

func main() {
	version := "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/pion/webrtc/v4" {
				version = module.Version
			}
		}
	}
	say(map[string]any{"version": "Pion " + version})
	todo := map[string]func(string, string) error{"publish": publish, "watch": watch}[os.Args[1]]
	if err := todo(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(what map[string]any) {
	line, _ := json.Marshal(what)
	os.Stdout.Write(append(line, '\n'))
}

// newPeer returns a peer with Pion's default codecs and interceptors, and a channel that is closed when it is connected.
func newPeer() (*webrtc.PeerConnection, chan struct{}, error) {
	engine, registry, settings := &webrtc.MediaEngine{}, &interceptor.Registry{}, webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	if err := errors.Join(engine.RegisterDefaultCodecs(), webrtc.RegisterDefaultInterceptors(engine, registry)); err != nil {
		return nil, nil, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings))
	peer, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, nil, err
	}
	connected := make(chan struct{})
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		say(map[string]any{"state": state.String()})
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	return peer, connected, nil
}

// offer returns the local offer once all addresses are gathered.
func offer(peer *webrtc.PeerConnection) (string, error) {
	made, err := peer.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(made); err != nil {
		return "", err
	}
	<-gathered
	return peer.LocalDescription().SDP, nil
}

func publish(endpoint, film string) error {
	token, err := input.ReadString('\n')
	if err != nil {
		return err
	}
	token = strings.TrimSpace(token)
	peer, connected, err := newPeer()
	if err != nil {
		return err
	}
	defer peer.Close()
	tracks := []*webrtc.TrackLocalStaticSample{}
	for kind, mime := range []string{webrtc.MimeTypeH264, webrtc.MimeTypeOpus} {
		track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, []string{"video", "audio"}[kind], "film")
		if err != nil {
			return err
		}
		sender, err := peer.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return err
		}
		go drain(sender.Sender())
		tracks = append(tracks, track)
	}
	local, err := offer(peer)
	if err != nil {
		return err
	}
	status, answer, location, err := call("POST", endpoint, token, local)
	if err != nil {
		return err
	}
	say(map[string]any{"status": status, "answer": answer})
	if status != http.StatusCreated {
		return nil
	}
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return err
	}
	<-connected
	if err := play(film, tracks); err != nil {
		return err
	}
	status, _, _, err = call("DELETE", location, token, "")
	say(map[string]any{"deleted": status})
	return err
}

// drain reads the reports about a track, which lets Pion's interceptors answer them.
func drain(sender *webrtc.RTPSender) {
	buffer := make([]byte, 1500)
	for {
		if _, _, err := sender.Read(buffer); err != nil {
			return
		}
	}
}

// play sends the film (film.py says how it is stored) in its own time, until it or the standard input ends.
func play(film string, tracks []*webrtc.TrackLocalStaticSample) error {
	data, err := os.ReadFile(film)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, input); close(ended) }()
	start := time.Now()
	ms := func(at int) uint32 { return binary.BigEndian.Uint32(data[at+1:]) }
	for at := 0; at < len(data); {
		end := at + 9 + int(binary.BigEndian.Uint32(data[at+5:]))
		select {
		case <-ended:
			return nil
		case <-time.After(time.Until(start.Add(time.Duration(ms(at)) * time.Millisecond))):
		}
		length := next(data, end, data[at], ms) - ms(at)
		sample := media.Sample{Data: data[at+9 : end], Duration: time.Duration(length) * time.Millisecond}
		if err := tracks[data[at]].WriteSample(sample); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// next returns the time of the next unit of a kind: Pion counts time by the length of its samples.
func next(data []byte, at int, kind byte, ms func(int) uint32) uint32 {
	for at < len(data) && data[at] != kind {
		at += 9 + int(binary.BigEndian.Uint32(data[at+5:]))
	}
	if at >= len(data) {
		return 0
	}
	return ms(at)
}

func watch(pictures, sounds string) error {
	peer, _, err := newPeer()
	if err != nil {
		return err
	}
	defer peer.Close()
	peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			report(take(track, pictures, &codecs.H264Packet{}, func(data []byte) []byte { return data }))
		} else {
			report(take(track, sounds, &codecs.OpusPacket{}, func(data []byte) []byte {
				return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
			}))
		}
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		direction := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := peer.AddTransceiverFromKind(kind, direction); err != nil {
			return err
		}
	}
	local, err := offer(peer)
	if err != nil {
		return err
	}
	say(map[string]any{"offer": local})
	line, err := input.ReadBytes('\n')
	if err != nil {
		return err
	}
	answer := struct{ Answer string }{}
	if err := json.Unmarshal(line, &answer); err != nil {
		return err
	}
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.Answer}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, input)
	return err
}

// take writes what comes of a track, in order, as Pion's sample builder puts it together.
func take(track *webrtc.TrackRemote, path string, depacketizer rtp.Depacketizer, form func([]byte) []byte) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	builder := samplebuilder.New(512, depacketizer, track.Codec().ClockRate)
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return nil // the peer was closed
		}
		builder.Push(packet)
		for sample := builder.Pop(); sample != nil; sample = builder.Pop() {
			if _, err := file.Write(form(sample.Data)); err != nil {
				return err
			}
		}
	}
}

func report(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// call returns status, body and the absolute Location.
func call(method, address, token, body string) (int, string, string, error) {
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/sdp")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", "", err
	}
	base, _ := url.Parse(address)
	location, err := base.Parse(response.Header.Get("Location"))
	return response.StatusCode, string(text), location.String(), err
}
