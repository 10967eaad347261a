package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// grace is how long output is waited for that is held open by what an ended command has left running.
const grace = 500 * time.Millisecond

// command is an instance's: the one that it prepares, and what came of the last one.
type command struct {
	name      string
	args, env []string
	stdin     []byte
	timeout   time.Duration
	// size is what of Config.MaxInput is used up.
	size int

	exitCode       int32
	stdout, stderr []byte
}

var (
	errTimeout = errors.New("process: timeout")
	errOutput  = errors.New("process: too much output")
)

// run runs the command that was prepared, and waits for it. If the call's context ends, or the instance is closed, the command
// is killed. What it leaves running in its process group ends with it.
func (m *Module) run(c *wasmer.Caller) (int32, error) {
	prepared := m.of(c)
	next := *prepared
	*prepared = command{timeout: DefaultTimeout, exitCode: NotRun}
	if !m.allows(next.name) {
		prepared.stderr = fmt.Appendf(nil, "Permission denied: Command \"%s\" is not in the white list. Please use "+
			"--allow-command=%[1]s or --allow-command-all to add \"%[1]s\" command into the white list.\n", next.name)
		return NotRun, nil
	}
	ctx, stop := perinstance.Context(c)
	defer stop(nil)
	limited, release := context.WithTimeoutCause(ctx, next.timeout, errTimeout)
	defer release()
	stdout := output{limit: m.config.MaxOutput, full: stop}
	stderr := stdout
	err := m.execute(limited, &next, &stdout, &stderr)
	prepared.stdout, prepared.stderr = stdout.kept, stderr.kept
	exit := new(exec.ExitError)
	switch cause := context.Cause(limited); {
	case errors.Is(cause, errOutput):
		prepared.exitCode = TooMuchOutput
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
		prepared.exitCode = 0
	case errors.As(err, &exit) && exit.Exited():
		prepared.exitCode = int32(int8(exit.ExitCode())) // 8 bits with a sign, as guests know it
	case errors.Is(cause, errTimeout):
		prepared.exitCode = TimedOut
	case cause != nil:
		return NotRun, fmt.Errorf("process: command %q was killed: %w", next.name, cause)
	default:
		prepared.stderr = fmt.Appendf(prepared.stderr, "process: %v\n", err)
	}
	return prepared.exitCode, nil
}

// execute runs a command in a process group of its own, which is killed as a whole.
func (m *Module) execute(ctx context.Context, next *command, stdout, stderr *output) error {
	process := exec.CommandContext(ctx, next.name, next.args...)
	process.Dir = m.config.Dir
	process.Env = append([]string{}, next.env...) // nil would be that of this process
	process.Stdin = bytes.NewReader(next.stdin)
	process.Stdout, process.Stderr = stdout, stderr
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill := func() error {
		err := syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		if err == syscall.ESRCH {
			err = os.ErrProcessDone
		}
		return err
	}
	process.Cancel = kill
	process.WaitDelay = grace
	if err := process.Start(); err != nil {
		return err
	}
	defer func() { _ = kill() }() // as long as the group has members, its number is not another's
	return process.Wait()
}

// output keeps what a command writes.
type output struct {
	kept  []byte
	limit int
	full  context.CancelCauseFunc
}

// Write has the command killed when it has written too much, of which the beginning is kept.
func (o *output) Write(p []byte) (int, error) {
	room := o.limit - len(o.kept)
	if len(p) <= room {
		o.kept = append(o.kept, p...)
		return len(p), nil
	}
	o.kept = append(o.kept, p[:room]...)
	o.full(errOutput)
	return room, errOutput
}
