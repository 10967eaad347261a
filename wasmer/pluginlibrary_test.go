package wasmer_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// libraryName is what the system calls a shared library.
func libraryName(name string) string {
	if runtime.GOOS == "darwin" {
		return name + ".dylib"
	}
	return name + ".so"
}

// builtPlugins are the libraries that tests have built, which must outlive the test that did.
var builtPlugins = struct {
	sync.Mutex
	folder string
}{}

// buildPlugin compiles a source of testdata/plugins, once, and returns the library's path.
func buildPlugin(t testing.TB, source string) string {
	t.Helper()
	builtPlugins.Lock()
	defer builtPlugins.Unlock()
	if builtPlugins.folder == "" {
		folder, err := os.MkdirTemp("", "plugins")
		require.NoError(t, err)
		builtPlugins.folder = folder
	}
	name, language, _ := strings.Cut(source, ".")
	library := filepath.Join(builtPlugins.folder, libraryName(name))
	if _, err := os.Stat(library); err == nil {
		return library
	}
	source = filepath.Join("..", "testdata", "plugins", source)
	command := exec.Command("cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I", ".", "-o", library, source)
	if language == "rs" {
		if _, err := exec.LookPath("rustc"); err != nil {
			t.Skip("no rustc")
		}
		command = exec.Command("rustc", "--edition", "2024", "--crate-type", "cdylib", "-O", "-C", "strip=symbols", "-D", "warnings", "-o", library, source)
	}
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%v\n%s", command, output)
	return library
}

// loadOne loads the only plug-in of a library.
func loadOne(t testing.TB, path string) *wasmer.Plugin {
	t.Helper()
	found, err := wasmer.LoadPlugins(path)
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

// imports of all modules of the plug-in.
func pluginImports(t testing.TB, plugin *wasmer.Plugin) *wasmer.Imports {
	t.Helper()
	imports := wasmer.NewImports()
	for _, name := range plugin.Modules() {
		module, err := plugin.NewModule(name)
		require.NoError(t, err)
		imports.Add(module)
	}
	return imports
}

func TestF127PluginsAreLoadedFromAPath(t *testing.T) {
	path := buildPlugin(t, "text.c")
	plugin := loadOne(t, path)
	require.Same(t, plugin, wasmer.FindPlugin("example_text"))
	require.Contains(t, wasmer.ListPlugins(), "example_text")
	require.Equal(t, []string{"1.0.0", "words, capitals, and a sum", path}, []string{plugin.Version(), plugin.Description(), plugin.Path()})
	require.Equal(t, []string{"sum", "text"}, plugin.Modules())
	_, err := plugin.NewModule("missing")
	require.ErrorIs(t, err, wasmer.ErrNotFound)
	require.ErrorContains(t, err, path)

	t.Chdir(filepath.Dir(path))
	require.Same(t, plugin, loadOne(t, filepath.Base(path)), "it is loaded once, by whatever path")
	link := filepath.Join(t.TempDir(), libraryName("link"))
	require.NoError(t, os.Symlink(path, link))
	require.Same(t, plugin, loadOne(t, link))
}

func TestF127PluginsAreLoadedFromAFolder(t *testing.T) {
	text, statistics := buildPlugin(t, "text.c"), buildPlugin(t, "statistics.rs")
	folder := t.TempDir()
	deep := filepath.Join(folder, "a", "b")
	require.NoError(t, os.MkdirAll(deep, 0o700))
	require.NoError(t, os.Symlink(statistics, filepath.Join(deep, libraryName("one"))))
	require.NoError(t, os.Symlink(text, filepath.Join(folder, libraryName("two"))))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "readme.txt"), []byte("no library"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(folder, libraryName("folder")), 0o700))

	found, err := wasmer.LoadPlugins(folder)
	require.NoError(t, err)
	require.Equal(t, []*wasmer.Plugin{wasmer.FindPlugin("example_statistics"), wasmer.FindPlugin("example_text")}, found)

	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(folder, link))
	linked, err := wasmer.LoadPlugins(link)
	require.NoError(t, err)
	require.Equal(t, found, linked)

	require.NoError(t, os.WriteFile(filepath.Join(folder, libraryName("bad")), []byte("no library"), 0o600))
	found, err = wasmer.LoadPlugins(folder)
	require.Len(t, found, 2, "the others are loaded")
	var failed *wasmer.PluginError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, filepath.Join(folder, libraryName("bad")), failed.Path)

	found, err = wasmer.LoadPlugins(t.TempDir())
	require.NoError(t, err)
	require.Empty(t, found)
}

// A process of its own, in which nothing is loaded yet, with folders of plug-ins around its program.
func TestF127DefaultFoldersAreLookedAtInOrder(t *testing.T) {
	const scenario = "WASMER_GO_TEST_PLUGINS"
	if os.Getenv(scenario) != "" {
		found, err := wasmer.LoadDefaultPlugins()
		var names []string
		for _, plugin := range found {
			names = append(names, filepath.Base(filepath.Dir(plugin.Path()))+"/"+plugin.Name())
		}
		require.Equal(t, os.Getenv(scenario), strings.Join(names, " "))
		require.Equal(t, os.Getenv(scenario+"_ERROR") != "", errors.Is(err, fs.ErrNotExist), "%v", err)
		if err != nil {
			require.ErrorContains(t, err, os.Getenv(scenario+"_ERROR"))
		}
		return
	}
	text, statistics := buildPlugin(t, "text.c"), buildPlugin(t, "statistics.rs")
	folder := t.TempDir()
	put := func(library, folder, name string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(folder, 0o700))
		data, err := os.ReadFile(library) // a link would be the same library
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, libraryName(name)), data, 0o700))
	}
	put(text, filepath.Join(folder, "plugin"), "text")
	put(statistics, filepath.Join(folder, "plugin"), "statistics")
	put(text, filepath.Join(folder, "first"), "words")
	put(text, filepath.Join(folder, "second"), "other")
	bin := filepath.Join(folder, "bin")
	require.NoError(t, os.Mkdir(bin, 0o700))
	program, err := os.Executable()
	require.NoError(t, err)
	if os.Link(program, filepath.Join(bin, "program")) != nil {
		t.Skip("the test's program cannot be linked to from the folder of temporary files")
	}
	for _, c := range []struct {
		variable []string
		want     string
		failed   string
	}{
		{nil, "plugin/example_statistics plugin/example_text", ""},
		{[]string{"first", "", "second"}, "first/example_text plugin/example_statistics", ""},
		{[]string{filepath.Join("second", libraryName("other"))}, "second/example_text plugin/example_statistics", ""},
		{[]string{"missing", "first"}, "first/example_text plugin/example_statistics", "missing"},
	} {
		for i := range c.variable {
			if c.variable[i] != "" {
				c.variable[i] = filepath.Join(folder, c.variable[i])
			}
		}
		child := exec.Command(filepath.Join(bin, "program"), "-test.run=^"+t.Name()+"$", "-test.timeout=60s", "-test.v")
		child.Env = append(os.Environ(), scenario+"="+c.want, scenario+"_ERROR="+c.failed, childEnv+"="+t.Name(),
			wasmer.PluginPathEnv+"="+strings.Join(c.variable, string(filepath.ListSeparator)))
		output, err := child.CombinedOutput()
		require.NoError(t, err, "%s", output)
		require.Contains(t, string(output), "PASS: "+t.Name())
	}
}

func TestWhatIsNoPluginLibraryIsRefused(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	library, err := os.ReadFile(buildPlugin(t, "text.c"))
	require.NoError(t, err)
	empty := filepath.Join(folder, "empty.c")
	require.NoError(t, os.WriteFile(empty, []byte("int unrelated(void) { return 1; }\n"), 0o600))
	unrelated := filepath.Join(folder, libraryName("unrelated"))
	output, err := exec.Command("cc", "-shared", "-fPIC", "-o", unrelated, empty).CombinedOutput()
	require.NoError(t, err, "%s", output)

	for path, want := range map[string]struct {
		message string
		err     error
	}{
		"":                                    {"the path of the library is empty", nil},
		filepath.Join(folder, "missing.so"):   {"no such file", fs.ErrNotExist},
		file("text.so", "this is no library"): {"cannot be loaded as a shared library", nil},
		file("nothing.so", ""):                {"cannot be loaded as a shared library", nil},
		file("short.so", string(library[:len(library)/2])): {"cannot be loaded as a shared library", nil},
		file("module.so", "\x00asm\x01\x00\x00\x00"):       {"cannot be loaded as a shared library", nil},
		unrelated:  {"no function wasmer_plugin_describe, so it is no plug-in", wasmer.ErrNotFound},
		os.DevNull: {"it is no file", nil},
		"a\x00b":   {"invalid argument", nil},
	} {
		found, err := wasmer.LoadPlugins(path)
		require.Empty(t, found, path)
		var failed *wasmer.PluginError
		require.ErrorAs(t, err, &failed, path)
		require.ErrorContains(t, err, want.message)
		require.Contains(t, failed.Path, filepath.Base(path)[:min(1, len(path))])
		if want.err != nil {
			require.ErrorIs(t, err, want.err)
		}
	}
}

func TestPluginsThatDescribeThemselvesWronglyAreRefused(t *testing.T) {
	path := buildPlugin(t, "broken.c")
	inChild(t, func(t *testing.T) { refuseWrongDescriptions(t, path) }) // what is loaded in the end stays
}

func refuseWrongDescriptions(t *testing.T, path string) {
	for broken, message := range map[string]string{
		"null":                  "what wasmer_plugin_describe returns is null",
		"misaligned":            "what wasmer_plugin_describe returns is no aligned address",
		"version":               "it was made for version 7 of the interface, and this program has version 1",
		"no name":               "its name is empty",
		"long name":             "its name is longer than 256 bytes",
		"endless description":   "the description is longer than 4096 bytes",
		"no text":               "the version is no UTF-8",
		"no modules":            "module_count is 0, not 1 to 256",
		"too many modules":      "module_count is 257, not 1 to 256",
		"modules null":          "the list that belongs to module_count is null",
		"module twice":          `there are several modules "broken"`,
		"module without name":   "the name of a module is empty",
		"no functions":          "function_count of module 1 is 0, not 1 to 4096",
		"too many functions":    "function_count of module 1 is 18446744073709551615, not 1 to 4096",
		"functions misaligned":  "the list that belongs to function_count of module 1 is no aligned address",
		"function twice":        `function "one" of module "broken": there are several`,
		"function without name": `function "" of module "broken": its name is empty`,
		"unprintable function":  `its name is no printable text: "a\nb"`,
		"unknown type":          `function "two" of module "broken": its types are "i32 v128" and "i32"`,
		"unknown result":        `want i32, i64, f32 and f64, with a space between them`,
		"unknown flags":         "flags of function 1 of module 0, 0x2, are unknown",
		"function null":         "the address of function 1 of module 0 is no function: 0x0",
		"function nowhere":      "the address of function 1 of module 0 is no function: 0x8",
		"close only":            "close of module 1 has nothing to close",
		"open nowhere":          "open of module 1 is no function: 0x8",
	} {
		t.Setenv("BROKEN_PLUGIN", broken)
		found, err := wasmer.LoadPlugins(path)
		require.Empty(t, found, broken)
		var failed *wasmer.PluginError
		require.ErrorAs(t, err, &failed, broken)
		require.ErrorContains(t, err, message)
		require.Equal(t, path, failed.Path)
		require.Equal(t, broken == "version", errors.Is(err, wasmer.ErrUnsupported), broken)
		require.Nil(t, wasmer.FindPlugin("broken"))
	}

	// It is unloaded each time, so it may say something else now.
	t.Setenv("BROKEN_PLUGIN", "refuses")
	plugin := loadOne(t, path)
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module (func (export "one") (import "other" "one") (result i32)))`), pluginImports(t, plugin))
	require.NoError(t, err)
	defer instance.Close()
	require.EqualValues(t, 1, call(t, instance, "one").ToI32())
	_, err = wasmer.NewInstanceWithImports([]byte(`(module (import "broken" "one" (func (result i32))))`), pluginImports(t, plugin))
	var native *wasmer.NativeError
	require.ErrorAs(t, err, &native)
	require.Equal(t, "it will not open", native.Message)
	require.ErrorContains(t, err, `"broken"`)

	// Another library of the name stays out.
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	copied := filepath.Join(t.TempDir(), libraryName("copied"))
	require.NoError(t, os.WriteFile(copied, data, 0o700))
	_, err = wasmer.LoadPlugins(copied)
	require.ErrorIs(t, err, wasmer.ErrNameTaken)
	require.ErrorContains(t, err, path)
	require.Same(t, plugin, wasmer.FindPlugin("broken"))
}

// The system's loader ends the process where it maps what a file lacks.
func TestLibrariesThatEndTooEarlyAreRefused(t *testing.T) {
	path := buildPlugin(t, "text.c")
	inChild(t, func(t *testing.T) {
		library, err := os.ReadFile(path)
		require.NoError(t, err)
		folder := t.TempDir()
		for size := 0; size < len(library); size += 997 {
			copied := filepath.Join(folder, libraryName(strconv.Itoa(size)))
			require.NoError(t, os.WriteFile(copied, library[:size], 0o700))
			found, err := wasmer.LoadPlugins(copied)
			if err == nil {
				require.Equal(t, "example_text", found[0].Name(), "what it lacks is not needed")
			} else {
				require.ErrorAs(t, err, new(*wasmer.PluginError))
			}
			if size < len(library)/2 {
				require.ErrorContains(t, err, "cannot be loaded as a shared library")
			}
		}
	})
}
