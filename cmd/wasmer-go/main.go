// Command wasmer-go runs, inspects, validates and translates WebAssembly modules: wasmer.RunCLI with a process around it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func main() {
	ctx := interruptible(os.Interrupt, syscall.SIGTERM)
	os.Exit(wasmer.RunCLI(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interruptible makes a context that the first signal ends. The second one ends the process at once.
func interruptible(signals ...os.Signal) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	arrived := make(chan os.Signal, 2)
	for _, s := range signals {
		if !signal.Ignored(s) { // as nohup and shell scripts want it
			signal.Notify(arrived, s)
		}
	}
	go func() {
		cancel(stopped{<-arrived})
		os.Exit(stopped{<-arrived}.ExitCode())
	}()
	return ctx
}

// stopped is the cause of the end of a context that a signal has ended.
type stopped struct{ signal os.Signal }

func (s stopped) Error() string { return s.signal.String() }

// ExitCode is the status that shells give to what the signal has ended.
func (s stopped) ExitCode() int {
	if number, ok := s.signal.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return 1
}
