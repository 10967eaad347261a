package wasmer_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCLICompletionScriptsAreValid(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			r := cliExecute("", "completion", shell)
			require.Equal(t, 0, r.status)
			require.Empty(t, r.stderr)
			for _, word := range []string{"wat2wasm", "dir", "stub-unknown", "cranelift"} {
				require.Contains(t, r.stdout, word)
			}
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			output, err := exec.Command(shell, "-n", cliWrite(t, "script", r.stdout)).CombinedOutput()
			require.NoError(t, err, "%s", output)
			require.Empty(t, string(output))
		})
	}
}

func TestCLICompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	script := cliWrite(t, "script", cliExecute("", "completion", "bash").stdout)
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "folder"), 0o777))
	for _, name := range []string{"a.wasm", "b c.wat", "d.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), nil, 0o666))
	}
	const modules = "folder|a.wasm|b c.wat"
	const options = "--dir|--env|--inherit-env|--invoke|--compiler|--cache|--trust-embedded|--key|--timeout|--cost-limit|--metering|--stats|--log-level|--stub-unknown|--profile|--perf-map|--target|--cpu|--canonicalize-nans|--verify-ir|--dump-ir|--compile-threads|--help"
	compilers := strings.Join(cliCompilers(), "|")
	for line, want := range map[string]string{
		"":                             "run|compile|inspect|validate|wat2wasm|cache|completion|version|help",
		"in":                           "inspect",
		"run ":                         modules,
		"run a":                        "a.wasm",
		"run --":                       options,
		"run --com":                    "--compiler|--compile-threads",
		"run -O ":                      "none|less|more|speed|speed-and-size|size",
		"run --cpu g":                  "generic",
		"run --compiler ":              compilers,
		"run --compiler c":             "cranelift",
		"run --log-level ":             "debug|info|warn|error|off",
		"run --compiler = c":           "cranelift", // as bash takes --compiler=c apart
		"run --compiler =":             compilers,
		"run --compiler cranelift ":    modules,
		"run --stub-unknown ":          modules,
		"run --dir ":                   "folder",
		"run --dir folder --cache f":   "folder",
		"run --env WASMER_GO_CLI_T":    "WASMER_GO_CLI_TEST",
		"run --invoke ":                "",
		"run a.wasm ":                  "folder|a.wasm|b c.wat|d.txt",
		"run a.wasm --":                "",
		"run --env A=1 a.wasm d":       "d.txt",
		"inspect ":                     modules,
		"inspect -":                    "--json|--help",
		"inspect a.wasm ":              "",
		"inspect a.wasm --j":           "--json",
		"validate ":                    modules,
		"wat2wasm -o ":                 "folder|a.wasm|b c.wat|d.txt",
		"completion ":                  "bash|fish|zsh",
		"completion bash ":             "",
		"cache ":                       "clean|ls|verify",
		"cache ls ":                    "folder",
		"cache ls folder ":             "folder",
		"cache clean --o":              "--older",
		"help w":                       "wat2wasm",
		"version ":                     "",
		"nonsense ":                    "",
		"run --dir folder --timeout ":  "",
		"run --inherit-env --compiler": "--compiler",
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Split(line, " ")
			command := exec.Command(bash, "--norc", "-c", `source "$0"
				COMP_WORDS=(wasmer-go "$@") COMP_CWORD=$#
				_wasmer_go
				IFS='|'; echo "${COMPREPLY[*]}"`, script)
			command.Args = append(command.Args, words...)
			command.Dir = folder
			command.Env = append(os.Environ(), "WASMER_GO_CLI_TEST=1")
			output, err := command.CombinedOutput()
			require.NoError(t, err, "%s", output)
			require.ElementsMatch(t, strings.Split(want, "|"), strings.Split(strings.TrimSuffix(string(output), "\n"), "|"))
		})
	}
}
