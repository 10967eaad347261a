package wasmer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// The exit statuses. A guest that is stopped has those of the signals and of timeout(1), as the shells know them.
const (
	cliFailure   = 1
	cliMisuse    = 2
	cliTimedOut  = 124
	cliCancelled = 130 // as SIGINT
	cliAborted   = 134 // as SIGABRT
)

// cliGrace is how long a guest has to end after the context has.
const cliGrace = time.Second

// RunCLI is the command wasmer-go without the process around it. The args are what follows the program's name: RunCLI(ctx,
// []string{"help"}, ...) tells what they can be. A guest reads stdin and writes stdout and stderr while it runs; a nil
// reader is at its end, a nil writer discards. The result is the status for os.Exit: that of the guest, or 1 for a failure, 2
// for wrong usage, 124 after --timeout or the context's deadline, 134 for a trap.
//
// When the context ends, the guest is stopped. Then the status is what the context's cause gives as ExitCode() int, if it
// has that method, else 130. A guest that does not heed the context, since it computes without calling the host, is left
// behind after one second: RunCLI returns, and a goroutine with the guest goes on.
func RunCLI(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr, cancel: cancel}
	if stdin == nil {
		c.stdin = bytes.NewReader(nil)
	}
	if stdout == nil {
		c.stdout = io.Discard
	}
	if stderr == nil {
		c.stderr = io.Discard
	}
	if len(args) == 0 {
		fmt.Fprint(c.stderr, cliOverview())
		return cliMisuse
	}
	return c.finish(c.start(ctx, args))
}

// cli is one run of the command line.
type cli struct {
	command *cliCommand
	// name is the command's as it was given.
	name    string
	options map[string][]string
	file    string
	// second is the other operand, if the command has one.
	second string
	// named says that file was given, library that it is a module which takes no arguments.
	named, library bool
	// rest is what follows the file, unless it was options.
	rest []string

	stdin          io.Reader
	stdout, stderr io.Writer
	// out is what the command itself has to say; it is written at the end.
	out    bytes.Buffer
	cancel context.CancelCauseFunc
	// progress is that of the compilation, and guest says that a guest runs: for the goroutine that waits for the other one.
	progress atomic.Pointer[cliProgress]
	guest    atomic.Bool
}

func (c *cli) start(ctx context.Context, args []string) error {
	c.name, c.options = args[0], map[string][]string{}
	switch c.name {
	case "-h", "-help", "--help":
		c.name = "help"
	case "-version", "--version":
		c.name = "version"
	}
	if c.command = cliFind(c.name); c.command == nil {
		return cliUnknownCommand(c.name)
	}
	if err := c.parse(args[1:]); err != nil {
		return err
	}
	if c.command.required() && !c.named {
		return cliUsagef("%s is missing", c.command.operand)
	}
	if c.command.second != "" && c.second == "" {
		return cliUsagef("%s is missing", c.command.second)
	}
	return c.await(ctx)
}

// await runs the command until it ends, or the context does.
func (c *cli) await(ctx context.Context) error {
	done := make(chan error, 1)
	var panicked any
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		done <- c.command.do(c, ctx)
	}()
	ended := func(err error, returned bool) error {
		switch {
		case returned:
			return err
		case panicked != nil:
			panic(panicked)
		}
		runtime.Goexit() // as a reader or writer that was given has done
		return nil
	}
	select {
	case err, returned := <-done:
		return ended(err, returned)
	case <-ctx.Done():
	}
	// The guest stops, unless a stream of the caller's holds it: then it is left behind.
	var grace time.Duration
	if c.guest.Load() {
		grace = cliGrace
	}
	select {
	case err, returned := <-done:
		return ended(err, returned)
	case <-time.After(grace):
		c.progress.Load().wait()
		return c.interrupted(ctx)
	}
}

// finish writes what the command has to say, and gives the status.
func (c *cli) finish(err error) int {
	if errors.Is(err, errCLIHelp) {
		c.out.Reset()
		c.out.WriteString(c.command.text())
		err = nil
	}
	if err == nil {
		// What is written in one piece is there as a whole, or its failure is seen.
		if _, err = c.out.WriteTo(c.stdout); err != nil {
			err = cliExplain("stdout", err)
		}
	}
	var usage *cliUsageError
	var status *cliStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(c.stderr, "wasmer-go: "+cliPrintable(c.name+": "+usage.message)+"\n"+cliSee(c.name))
		return cliMisuse
	case !errors.As(err, &status):
		status = &cliStatus{cliFailure, err}
	}
	if status.err != nil {
		fmt.Fprintln(c.stderr, "wasmer-go: "+cliPrintable(status.err.Error()))
	}
	return status.code
}

// warn tells of a failure that the command goes on after.
func (c *cli) warn(err error) {
	fmt.Fprintln(c.stderr, "wasmer-go: warning: "+cliPrintable(err.Error()))
}

// interrupted is the end of a command whose context has ended.
func (c *cli) interrupted(ctx context.Context) error {
	cause := context.Cause(ctx)
	code := cliCancelled
	var coded interface{ ExitCode() int }
	switch {
	case errors.As(cause, &coded):
		code = coded.ExitCode()
	case errors.Is(cause, context.DeadlineExceeded):
		code = cliTimedOut
	}
	return &cliStatus{code, cliExplain(c.title(), fmt.Errorf("stopped: %w", cause))}
}

// title names the file in messages.
func (c *cli) title() string {
	switch c.file {
	case "":
		return c.name
	case "-":
		return "stdin"
	}
	return c.file
}

func (c *cli) has(option string) bool { return len(c.options[option]) > 0 }

// value is that of an option; empty if it was not given.
func (c *cli) value(option string) string {
	if !c.has(option) {
		return ""
	}
	return c.options[option][0]
}

// read gives the contents of the file.
func (c *cli) read() ([]byte, error) {
	var data []byte
	var err error
	if c.file == "-" {
		data, err = io.ReadAll(c.stdin)
	} else {
		data, err = os.ReadFile(c.file)
	}
	if err != nil {
		return nil, cliExplainUnreadable(c.title(), err)
	}
	return data, nil
}
