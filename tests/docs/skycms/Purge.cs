// Calls the driver as SkyCMS does: PurgeCdn() without arguments, or with a list of URLs. Prints the publish's id, or what
// went wrong.
using System;
using System.Collections.Generic;
using Microsoft.Extensions.Logging;
using Sky.Editor.Services.CDN;

public static class Purge
{
    private class Logger : ILogger
    {
    }

    public static int Main(string[] urls)
    {
        var value = string.Format(
            "{{\"Endpoint\": \"{0}\", \"Token\": \"{1}\"}}",
            Environment.GetEnvironmentVariable("SKYCMS_CDN_URL"),
            Environment.GetEnvironmentVariable("PUBLISH_TOKEN"));
        var driver = new SkyCdnDriver(new CdnSetting { Value = value }, new Logger());
        var results = urls.Length == 0
            ? driver.PurgeCdn().Result
            : driver.PurgeCdn(new List<string>(urls)).Result;
        foreach (var result in results)
        {
            Console.WriteLine("{0} {1}", (int)result.Status, result.IsSuccessStatusCode ? result.Id : result.Message);
        }

        return results.TrueForAll(result => result.IsSuccessStatusCode) ? 0 : 1;
    }
}
