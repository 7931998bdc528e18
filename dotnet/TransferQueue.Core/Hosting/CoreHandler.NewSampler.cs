using System.Collections.Immutable;
using System.Security.Cryptography;
using TransferQueue.Protocol;
using TransferQueue.Sampling;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Constructor arguments of the core's own sampler that was chosen last; null: none was, it is still that of the options.</summary>
    private ImmutableDictionary<string, int>? _chosenArguments;

    /// <summary>What tells the sampler from others in a checkpoint: name and constructor arguments; of a user's own the name of its class. The loop's thread, or any while nothing may change.</summary>
    private string SamplerIdentity => _controller.IsSamplerHosted
        ? _controller.SamplerName
        : $"{_controller.SamplerName}({string.Join(", ", (_chosenArguments ?? _options.SamplerArguments).OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value}"))})";

    /// <summary>Lets another sampler pick. Fetches that wait are tried with it; a question that the one before has is void.</summary>
    private OkReply SetSampler(SetSamplerRequest request)
    {
        ImmutableDictionary<string, int> arguments = Arguments(request);
        ISampler sampler = request.Token is { } token ? Hosted(request.Name, token) : BuiltInSamplers.Get(request.Name, arguments);
        // Its process has started again: who waited for the one before is told of its end.
        bool isAgain = sampler is HostedSampler && _controller.IsSamplerHosted && _controller.SamplerName == sampler.Name;
        if (!isAgain)
        {
            _questionDeadline = long.MaxValue;
            EndWish(null, new SamplerException($"sampler {_controller.SamplerName}: another one was registered while a checkpoint waited for its state; save or load again"));
        }
        _chosenArguments = arguments;
        _machine.UseSampler(sampler, keepsQuestion: isAgain);
        return new OkReply();
    }

    private HostedSampler Hosted(string name, ReadOnlyMemory<byte> token)
    {
        if (_options.SamplerToken.IsEmpty || !CryptographicOperations.FixedTimeEquals(token.Span, _options.SamplerToken.AsSpan()))
            throw new AuthenticationException("core: SET_SAMPLER with a wrong token; only the sidecar's own process may run a sampler");
        return new HostedSampler(name);
    }

    private static ImmutableDictionary<string, int> Arguments(SetSamplerRequest request)
    {
        if (request.Arguments.FirstOrDefault(argument => argument.Value is < int.MinValue or > int.MaxValue) is { Key: { } name })
            throw new InvalidArgumentException($"sampler {request.Name}: {name} is {request.Arguments[name]}; it must fit into 32 bits");
        return request.Arguments.ToImmutableDictionary(argument => argument.Key, argument => (int)argument.Value);
    }
}
