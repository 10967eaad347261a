package wasmer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wasiConfig is what the options give to the guest.
func (c *cli) wasiConfig() (WASIConfig, error) {
	config := WASIConfig{
		Args:  []string{filepath.Base(c.file)},
		Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr,
	}
	if !c.has("invoke") {
		config.Args = append(config.Args, c.guestWords()...)
	}
	if c.file == "-" {
		config.Stdin = bytes.NewReader(nil) // the module has been there
	}
	var err error
	if config.Env, err = c.environment(); err != nil {
		return config, err
	}
	for _, word := range c.options["dir"] {
		mount, err := cliMount(word)
		if err != nil {
			return config, err
		}
		if slices.ContainsFunc(config.Mounts, func(m Mount) bool { return m.Guest == mount.Guest }) {
			return config, cliUsagef("--dir %s: there is another folder for the path %q", word, mount.Guest)
		}
		config.Mounts = append(config.Mounts, mount)
	}
	return config, nil
}

func (c *cli) environment() (map[string]string, error) {
	env := map[string]string{}
	if c.has("inherit-env") {
		maps.Copy(env, cliProcessEnvironment())
	}
	for _, word := range c.options["env"] {
		key, value, given := strings.Cut(word, "=")
		if key == "" {
			return nil, cliUsagef("--env %q has no name; it is NAME=VALUE, or NAME to inherit it", word)
		}
		if !given {
			if value, given = os.LookupEnv(key); !given {
				continue // not set here, so not set there
			}
		}
		env[key] = value
	}
	return env, nil
}

func cliProcessEnvironment() map[string]string {
	env := map[string]string{}
	for _, entry := range os.Environ() {
		if key, value, _ := strings.Cut(entry, "="); key != "" { // unlike the hidden variables of Windows
			env[key] = value
		}
	}
	return env
}

// cliMount reads HOST, HOST:GUEST or HOST::GUEST, each with :ro after it or not.
func cliMount(word string) (Mount, error) {
	paths, readOnly := strings.CutSuffix(word, ":ro")
	host, guest, given := strings.Cut(paths, "::")
	if !given {
		host, guest, given = strings.Cut(paths, ":")
		if strings.Contains(guest, ":") {
			return Mount{}, cliUsagef("--dir %s has too many colons; it is HOST[:GUEST][:ro], or HOST::GUEST if HOST holds one", word)
		}
	}
	if !given {
		guest = host
	}
	if host == "" || guest == "" {
		return Mount{}, cliUsagef("--dir %q lacks the path of a folder; it is HOST[:GUEST][:ro]", word)
	}
	guest = path.Clean(guest)
	if guest == ".." || strings.HasPrefix(guest, "../") {
		return Mount{}, cliUsagef("--dir %s: the guest's path cannot lead upwards; give it another: --dir %s:/%s",
			word, host, path.Base(filepath.ToSlash(host)))
	}
	info, err := os.Stat(host)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Mount{}, cliHint(cliExplain("--dir "+host, err), "the folder must be there before the guest runs: mkdir -p %s", host)
	case err != nil:
		return Mount{}, cliExplain("--dir "+host, err)
	case !info.IsDir():
		err = fmt.Errorf("--dir %s: not a folder", host)
		return Mount{}, cliHint(err, "give the folder that it is in: --dir %s", filepath.Dir(host))
	}
	return Mount{Guest: guest, Host: host, ReadOnly: readOnly}, nil
}

// limitTime ends the context of the command after --timeout, unless it is stopped before.
func (c *cli) limitTime() (stop func(), err error) {
	if !c.has("timeout") {
		return func() {}, nil
	}
	limit, err := cliDuration(c.value("timeout"))
	if err != nil {
		return nil, err
	}
	timer := time.AfterFunc(limit, func() {
		c.cancel(cliTimeout(limit))
	})
	return func() { timer.Stop() }, nil
}

// cliTimeout is the cause of a command's end when the time of --timeout is over.
type cliTimeout time.Duration

func (t cliTimeout) Error() string { return time.Duration(t).String() + " are over (--timeout)" }

func (t cliTimeout) ExitCode() int { return cliTimedOut }

// cliDuration reads a duration as Go writes it, or a number of seconds.
func cliDuration(word string) (time.Duration, error) {
	limit, err := time.ParseDuration(word)
	if err != nil {
		if seconds, numberErr := strconv.ParseFloat(word, 64); numberErr == nil && seconds < float64(1<<63-1)/1e9 {
			limit, err = time.Duration(seconds*float64(time.Second)), nil
		}
	}
	if err != nil || limit <= 0 {
		return 0, cliUsagef("--timeout %q is no time; it is a number of seconds, or one with a unit such as 500ms, 1.5s, 2m", word)
	}
	return limit, nil
}
