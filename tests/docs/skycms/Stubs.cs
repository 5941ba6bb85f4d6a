// As much of SkyCMS and its libraries as its CDN drivers use.
namespace Microsoft.Extensions.Logging
{
    public interface ILogger
    {
    }

    public static class LoggerExtensions
    {
        public static void LogError(this ILogger logger, string message, params object[] arguments)
        {
            System.Console.Error.WriteLine(message + " " + string.Join(" ", arguments));
        }
    }
}

namespace Newtonsoft.Json
{
    using System;
    using System.Collections.Generic;
    using System.Linq;
    using System.Text;
    using System.Text.RegularExpressions;

    public static class JsonConvert
    {
        // Texts without escapes are all that a row of settings holds.
        public static T DeserializeObject<T>(string json)
            where T : new()
        {
            var value = new T();
            foreach (Match field in Regex.Matches(json, "\"(\\w+)\"\\s*:\\s*\"([^\"\\\\]*)\""))
            {
                var property = typeof(T).GetProperty(field.Groups[1].Value);
                if (property != null)
                {
                    property.SetValue(value, field.Groups[2].Value);
                }
            }

            return value;
        }

        // As much as the examples send: texts, lists of them, numbers and truths.
        public static string SerializeObject(object value)
        {
            var fields = value.GetType().GetProperties();
            var members = fields.Select(field => Text(field.Name) + ":" + Value(field.GetValue(value)));
            return "{" + string.Join(",", members) + "}";
        }

        private static string Value(object value)
        {
            var text = value as string;
            if (text != null)
            {
                return Text(text);
            }

            var texts = value as IEnumerable<string>;
            return texts == null
                ? Convert.ToString(value).ToLowerInvariant()
                : "[" + string.Join(",", texts.Select(Text)) + "]";
        }

        private static string Text(string text)
        {
            var json = new StringBuilder("\"");
            foreach (var c in text)
            {
                json.Append(c == '"' || c == '\\' || c < ' ' ? string.Format("\\u{0:x4}", (int)c) : c.ToString());
            }

            return json.Append('"').ToString();
        }
    }
}

namespace Sky.Editor.Services.CDN
{
    using System;
    using System.Collections.Generic;
    using System.Net;
    using System.Threading.Tasks;

    public interface ICdnDriver
    {
        string ProviderName { get; }

        Task<List<CdnResult>> PurgeCdn(List<string> purgeUrls);

        Task<List<CdnResult>> PurgeCdn();
    }

    public class CdnSetting
    {
        public string Value { get; set; }
    }

    public class CdnResult
    {
        public string ProviderName { get; set; }

        public HttpStatusCode Status { get; set; }

        public string ReasonPhrase { get; set; }

        public string ClientRequestId { get; set; }

        public string Id { get; set; }

        public bool IsSuccessStatusCode { get; set; }

        public DateTimeOffset EstimatedFlushDateTime { get; set; }

        public string Message { get; set; }
    }
}
