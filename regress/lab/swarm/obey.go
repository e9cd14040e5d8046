package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"tailscale.com/types/key"
)

// obey takes orders from a script that injects faults from outside.
func (s *swarm) obey(in io.Reader, out io.Writer) error {
	o := &orders{s: s}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		r, err := o.do(f[0], f[1:])
		if r == nil {
			r = result{}
		}
		r["order"] = f[0]
		r["ok"] = err == nil
		if err != nil {
			r["error"] = err.Error()
		}
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	}
	if o.churner != nil {
		o.cancel()
		o.churner.halt()
	}
	return lines.Err()
}

type orders struct {
	s       *swarm
	churner *churner
	cancel  context.CancelFunc
	singles []*single
	wg      sync.WaitGroup
}

func (o *orders) do(name string, args []string) (result, error) {
	s := o.s
	switch name {
	case "churn":
		rate := 0
		if len(args) == 1 {
			rate, _ = strconv.Atoi(args[0])
		}
		if rate < 1 || o.churner != nil {
			return nil, fmt.Errorf("churn takes a rate, and calm must be between two of them")
		}
		ctx, cancel := context.WithCancel(context.Background())
		o.churner, o.cancel = s.startChurn(ctx, rate), cancel
		return nil, nil
	case "calm":
		return o.calm()
	case "right":
		if len(args) == 1 {
			if d, err := time.ParseDuration(args[0]); err == nil {
				return s.waitRight(d)
			}
		}
		return nil, fmt.Errorf("right takes a duration")
	case "count":
		s.lostMu.Lock()
		lost := s.lost
		s.lost = nil
		s.lostMu.Unlock()
		if lost == nil {
			lost = []string{}
		}
		return result{"lost": lost, "faults": s.faults.Load(), "offlines": s.offlines.Load(), "messages": s.messages.Load()}, nil
	case "single":
		for _, k := range args {
			o.startSingle(k)
		}
		return nil, nil
	case "singles":
		o.wg.Wait()
		r := result{"singles": o.singles}
		o.singles = nil
		return r, nil
	}
	return nil, fmt.Errorf("no such order")
}

// calm fails when something that was said stays without an answer.
func (o *orders) calm() (result, error) {
	c := o.churner
	if c == nil {
		return nil, fmt.Errorf("there is no churn")
	}
	o.churner = nil
	late := time.AfterFunc(o.s.cfg.limit, o.cancel)
	c.halt()
	late.Stop()
	o.cancel()
	r := result{"sent": c.sent.Load(), "repeats": c.repeats.Load(), "unanswered": c.unanswered.Load()}
	if c.unanswered.Load() > 0 {
		return r, fmt.Errorf("%d updates were not answered within %v", c.unanswered.Load(), o.s.cfg.limit)
	}
	return r, nil
}

// waitRight waits until all nodes have their streams and the views are right.
func (s *swarm) waitRight(limit time.Duration) (result, error) {
	start := time.Now()
	for {
		err := s.allOpen()
		if err == nil {
			_, err = s.wrongViews()
		}
		took := time.Since(start)
		if err == nil || took > limit {
			return result{"seconds": round(took.Seconds())}, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *swarm) allOpen() error {
	for _, n := range s.nodes {
		if !n.connected.Load() || n.firstMap.Load() == 0 {
			return fmt.Errorf("%s has no stream", n.host.Hostname)
		}
	}
	return nil
}

// A single is one single-use key that two machines want.
type single struct {
	Key     string   `json:"key"`
	Taken   []string `json:"taken"`   // node keys whose registration was acknowledged
	Refused []string `json:"refused"` // what the others were told
	Answers []answer `json:"answers"`
	Repeats int      `json:"repeats"` // tries that ended without an answer
	mu      sync.Mutex
}

type answer struct {
	Name  string  `json:"name"`
	Taken bool    `json:"taken"`
	Tries int     `json:"tries"`
	At    float64 `json:"at"` // seconds since 1970
}

func (o *orders) startSingle(authKey string) {
	one := &single{Key: authKey, Taken: []string{}, Refused: []string{}}
	o.singles = append(o.singles, one)
	for rival := range 2 {
		o.s.extra++
		n := newNode(o.s, o.s.cfg.n+o.s.extra)
		n.authKey = authKey
		n.host.Hostname = fmt.Sprintf("one%05d", o.s.extra)
		renew := (len(o.singles)+rival)%2 == 0
		o.wg.Add(1)
		go func() {
			defer o.wg.Done()
			one.run(n, renew)
		}()
	}
}

func (one *single) run(n *node, renew bool) {
	ctx, cancel := context.WithTimeout(context.Background(), n.s.cfg.limit)
	defer cancel()
	for tries := 1; ; tries++ {
		err := n.register(ctx)
		n.drop()
		var no refusal
		one.mu.Lock()
		switch {
		case err == nil:
			one.Taken = append(one.Taken, n.nodeKey.Public().String())
		case errors.As(err, &no):
			one.Refused = append(one.Refused, string(no))
		case ctx.Err() != nil:
			one.Refused = append(one.Refused, "no answer: "+err.Error())
		default:
			one.Repeats++
			one.mu.Unlock()
			time.Sleep(50 * time.Millisecond)
			if renew {
				n.nodeKey = key.NewNode()
			}
			continue
		}
		one.Answers = append(one.Answers, answer{n.host.Hostname, err == nil, tries, float64(time.Now().UnixMicro()) / 1e6})
		one.mu.Unlock()
		return
	}
}
