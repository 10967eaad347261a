package wasmer

import (
	"io"
	"log/slog"
	"slices"
	"strings"
)

// cliLevels are the values of --log-level, in order.
var cliLevels = []string{"debug", "info", "warn", "error", "off"}

// engineConfig is what the options say of the engine.
func (c *cli) engineConfig(compiler Compiler) (EngineConfig, error) {
	config := EngineConfig{Compiler: compiler, MeasureTime: c.has("stats")}
	var err error
	if config.Logger, err = c.logger(); err != nil {
		return config, err
	}
	if err := c.codeOptions(&config); err != nil {
		return config, err
	}
	config.TrustEmbeddedCode = c.has("trust-embedded")
	if config.ArtifactKey, err = c.artifactKey(); err != nil {
		return config, err
	}
	config.Metering, err = c.metering()
	if c.has("stats") && config.Metering.Mode == MeteringOff {
		config.Metering.Mode = MeteringBlock
	}
	return config, err
}

// logger writes events to stderr; nil if none is asked for.
func (c *cli) logger() (*slog.Logger, error) {
	name := c.value("log-level")
	if !c.has("log-level") || name == "off" {
		return nil, nil
	}
	var level slog.Level
	if !slices.Contains(cliLevels, name) || level.UnmarshalText([]byte(name)) != nil {
		return nil, cliUsagef("there is no log level %q; the levels are %s", name, strings.Join(cliLevels, ", "))
	}
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: level})), nil
}

// report writes the statistics of what was run, if that is asked for.
func (c *cli) report(engine *Engine) {
	if c.has("stats") {
		_, _ = io.WriteString(c.stderr, engine.Stats().Report())
	}
}
