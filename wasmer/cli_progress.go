package wasmer

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// cliProgress is a line on a terminal that tells how long something has taken, once it has taken a second. A nil one tells
// nothing.
type cliProgress struct {
	out         io.Writer
	label       string
	interval    time.Duration
	ended, gone chan struct{}
}

// startCLIProgress gives nil if the output is no terminal. The line goes away with stop, or when the context ends.
func startCLIProgress(ctx context.Context, out io.Writer, label string) *cliProgress {
	file, ok := out.(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	p := &cliProgress{out: out, label: label, interval: time.Second}
	p.start(ctx)
	return p
}

func (p *cliProgress) start(ctx context.Context) {
	p.ended, p.gone = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(p.gone)
		p.show(ctx)
	}()
}

func (p *cliProgress) show(ctx context.Context) {
	ticks := time.NewTicker(p.interval)
	defer ticks.Stop()
	for began, shown := time.Now(), false; ; shown = true {
		select {
		case <-ticks.C:
			fmt.Fprintf(p.out, "\r%s ... %.0fs", p.label, time.Since(began).Seconds())
			continue
		case <-p.ended:
		case <-ctx.Done():
		}
		if shown {
			fmt.Fprint(p.out, "\r\x1b[K") // erases the line
		}
		return
	}
}

// stop erases the line.
func (p *cliProgress) stop() {
	if p != nil {
		close(p.ended)
		p.wait()
	}
}

// wait returns when the line has gone away.
func (p *cliProgress) wait() {
	if p != nil {
		<-p.gone
	}
}
