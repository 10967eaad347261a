package wasmer_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestPerfMapNamesFunctionsOfOldAndNewModules(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		compile(t, engine, `(module $old (func $f) (func (export "g") (call $f)))`)
		path, err := wasmer.StartPerfMap()
		require.NoError(t, err)
		defer os.Remove(path)
		defer wasmer.StopPerfMap()
		require.Equal(t, fmt.Sprintf("/tmp/perf-%d.map", os.Getpid()), path)
		price := compile(t, engine, wasmtest.Fixture(t, "debug/price_v0.wasm"))
		artifact, err := price.Serialize()
		require.NoError(t, err)
		loaded, err := engine.Deserialize(background, artifact)
		require.NoError(t, err)
		defer loaded.Close()
		hostile, err := wasmer.Wat2Wasm("(module $new (func $\"line\\nbreak\"))")
		require.NoError(t, err)
		compile(t, engine, hostile)
		wasmer.StopPerfMap()
		compile(t, engine, `(module $late (func $f))`)

		content, err := os.ReadFile(path)
		require.NoError(t, err)
		line := regexp.MustCompile(`^([0-9a-f]+) ([0-9a-f]+) (.+)$`)
		names := map[string]int{}
		for text := range strings.Lines(string(content)) {
			fields := line.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
			require.NotNil(t, fields, text)
			start, err := strconv.ParseUint(fields[1], 16, 64)
			require.NoError(t, err)
			size, err := strconv.ParseUint(fields[2], 16, 64)
			require.NoError(t, err)
			require.NotZero(t, start)
			require.NotZero(t, size)
			names[fields[3]]++
		}
		require.Positive(t, names["old.f"])
		require.Positive(t, names["old.$1"])
		require.GreaterOrEqual(t, names["price_v0.wasm.price::total::<price::Apples>"], 2, "compiled and loaded")
		require.Positive(t, names["new.line_break"])
		require.Zero(t, names["late.f"])
	})
}

func TestPerfMapDoesNotFollowLinks(t *testing.T) {
	path := fmt.Sprintf("/tmp/perf-%d.map", os.Getpid())
	target := t.TempDir() + "/target"
	require.NoError(t, os.Symlink(target, path))
	defer os.Remove(path)
	_, err := wasmer.StartPerfMap()
	require.ErrorContains(t, err, "perf map")
	require.NoFileExists(t, target)
}
