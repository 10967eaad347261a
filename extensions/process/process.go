// Package process gives guests the module wasmedge_process: commands of the host, those that were allowed, run with the
// guest's arguments, environment and input, and their output.
//
// See https://docs.rs/wasmedge_process_interface
package process

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Config says what guests may run. An allowed command does whatever its arguments and its environment have it do, with the
// rights of this process and outside of any sandbox: allow none whose arguments can name other commands or files.
type Config struct {
	// Commands are the names that guests may give. One without a slash is looked for in the PATH of this process, others are
	// relative to Dir. What a command leaves running is killed when it ends, unless that has left its process group.
	Commands []string
	// AllCommands allows every name, also of programs that the guest has written to a mounted folder itself.
	AllCommands bool
	// Variables are the environment variables that guests may set for a command; others are left out. A command has no
	// others: it inherits none of this process.
	Variables []string
	// AllVariables allows all of them. Some make a command do anything: LD_PRELOAD has it load a library.
	AllVariables bool
	// Dir is the folder that commands run in; empty is the current one.
	Dir string
	// MaxInput bounds the name, the arguments, the environment and the input of a command together, in bytes, and 16 for
	// each of them; 0 is 1 MiB. More ends the guest with ErrInput.
	MaxInput int
	// MaxOutput bounds what is kept of a command's output, and of its errors, in bytes; 0 is 1 MiB. A command that
	// writes more is killed.
	MaxOutput int
}

// Exit codes of commands that did not end by themselves.
const (
	// NotRun is of a command that was not allowed, could not be started, or was ended by a signal.
	NotRun = -1
	// TooMuchOutput is EFBIG of Linux: it wrote more than Config.MaxOutput.
	TooMuchOutput = 27
	// TimedOut is ETIMEDOUT of Linux: it ran for longer than the guest wanted to wait, which is 10 s unless it says otherwise.
	TimedOut = 110
)

// DefaultTimeout is how long a command may run if the guest does not say.
const DefaultTimeout = 10 * time.Second

// ErrInput: what a guest gives to a command is larger than Config.MaxInput.
var ErrInput = errors.New("process: too much input for a command")

// Module is the host module wasmedge_process. Each instance that imports it prepares a command, and reads the output of the
// last one, for itself. Goroutines may share it.
type Module struct {
	config   Config
	commands perinstance.State[command]

	mu      sync.Mutex
	names   []string
	allowed bool
}

const (
	defaultSize = 1 << 20
	// overhead is what a string costs besides its bytes.
	overhead = 16
)

// New makes the module. Without Commands or AllCommands guests can run nothing.
func New(config Config) *Module {
	if config.MaxInput <= 0 {
		config.MaxInput = defaultSize
	}
	if config.MaxOutput <= 0 {
		config.MaxOutput = defaultSize
	}
	config.Variables = slices.Clone(config.Variables)
	m := &Module{config: config}
	m.commands.New = func() *command { return &command{timeout: DefaultTimeout} }
	m.Allow(config.Commands, config.AllCommands)
	return m
}

// Allow replaces what Config.Commands and Config.AllCommands say, also for the guests that there are.
func (m *Module) Allow(commands []string, all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names, m.allowed = slices.Clone(commands), all
}

func (m *Module) allows(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.allowed || slices.Contains(m.names, name)
}

// AddTo implements wasmer.HostModule.
func (m *Module) AddTo(imports *wasmer.Imports) {
	imports.Namespace("wasmedge_process").
		Function("wasmedge_process_set_prog_name", m.setName).
		Function("wasmedge_process_add_arg", m.addArg).
		Function("wasmedge_process_add_env", m.addEnv).
		Function("wasmedge_process_add_stdin", m.addStdin).
		Function("wasmedge_process_set_timeout", m.setTimeout).
		Function("wasmedge_process_run", m.run).
		Function("wasmedge_process_get_exit_code", func(c *wasmer.Caller) int32 { return m.of(c).exitCode }).
		Function("wasmedge_process_get_stdout_len", func(c *wasmer.Caller) uint32 { return uint32(len(m.of(c).stdout)) }).
		Function("wasmedge_process_get_stderr_len", func(c *wasmer.Caller) uint32 { return uint32(len(m.of(c).stderr)) }).
		Function("wasmedge_process_get_stdout", func(c *wasmer.Caller, ptr uint32) error {
			return c.Memory().Write(uint64(ptr), m.of(c).stdout)
		}).
		Function("wasmedge_process_get_stderr", func(c *wasmer.Caller, ptr uint32) error {
			return c.Memory().Write(uint64(ptr), m.of(c).stderr)
		})
}

func (m *Module) of(c *wasmer.Caller) *command { return m.commands.Of(c.Instance()) }

// read takes a part of the next command's input.
func (m *Module) read(c *wasmer.Caller, ptr, length uint32) (string, error) {
	command := m.of(c)
	if uint64(command.size)+uint64(length)+overhead > uint64(m.config.MaxInput) {
		return "", fmt.Errorf("%w: %d bytes after %d, of %d", ErrInput, length, command.size, m.config.MaxInput)
	}
	text, err := c.Memory().ReadString(uint64(ptr), uint64(length))
	if err == nil {
		command.size += len(text) + overhead
	}
	return text, err
}

func (m *Module) setName(c *wasmer.Caller, ptr, length uint32) error {
	name, err := m.read(c, ptr, length)
	if err == nil {
		m.of(c).name = name
	}
	return err
}

func (m *Module) addArg(c *wasmer.Caller, ptr, length uint32) error {
	arg, err := m.read(c, ptr, length)
	if err == nil {
		command := m.of(c)
		command.args = append(command.args, arg)
	}
	return err
}

func (m *Module) addEnv(c *wasmer.Caller, namePtr, nameLength, valuePtr, valueLength uint32) error {
	name, err := m.read(c, namePtr, nameLength)
	if err != nil {
		return err
	}
	value, err := m.read(c, valuePtr, valueLength)
	if err != nil {
		return err
	}
	if !strings.Contains(name, "=") && (m.config.AllVariables || slices.Contains(m.config.Variables, name)) {
		command := m.of(c)
		command.env = append(command.env, name+"="+value)
	}
	return nil
}

func (m *Module) addStdin(c *wasmer.Caller, ptr, length uint32) error {
	input, err := m.read(c, ptr, length)
	if err == nil {
		command := m.of(c)
		command.stdin = append(command.stdin, input...)
	}
	return err
}

func (m *Module) setTimeout(c *wasmer.Caller, milliseconds uint32) {
	m.of(c).timeout = time.Duration(milliseconds) * time.Millisecond
}
